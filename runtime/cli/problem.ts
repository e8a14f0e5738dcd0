/** What a command says when it did not do what it was asked: one line, and the next thing to try. */
import { Schema } from "effect"

export class Problem extends Schema.TaggedError<Problem>()("Problem", {
  /** For machines: `usage`, `no-node`, `unreachable`, or the tag of a refusal or failure. */
  code: Schema.String,
  message: Schema.String,
  next: Schema.optionalKey(Schema.String),
  /** What the actor or the node said, as it said it. */
  details: Schema.optionalKey(Schema.Unknown)
}) {}

export const usage = (message: string, next?: string): Problem =>
  new Problem({ code: "usage", message, ...(next === undefined ? {} : { next }) })

/** Did not do it, or was asked in a way that makes no sense. */
export const exitCodeOf = ({ code }: Problem): number => (code === "usage" ? 2 : 1)

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ").trim()

export const problemText = (problem: Problem, asJson: boolean): string => {
  const { code, next, details } = problem
  const message = oneLine(problem.message)
  if (asJson)
    return JSON.stringify({
      error: { code, message, ...(next && { next }), ...(details !== undefined && { details }) }
    })
  return `artifacts: ${message}${next === undefined ? "" : `\n  ${next}`}`
}
