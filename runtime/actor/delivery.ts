/** One command or query on its way to an actor, and the text that goes back. */
import type { Failure } from "../../messages/envelope.ts"
import type { Verb } from "../../messages/subjects.ts"

export interface Delivery {
  readonly verb: Verb
  readonly kind: string
  readonly id: string
  readonly caller: string
  /** The command's or the query's name. */
  readonly name: string
  readonly body: string
  /** The command itself, when whoever sends it is of this process and has made it: then the body is not read. */
  readonly command?: { readonly _tag: string } | undefined
  /** Empty for a query. */
  readonly commandId: string
  /** The latest useful moment in milliseconds since the epoch; 0 when there is none. */
  readonly deadline: number
  /** Takes the encoded answer, and what it says where that is at hand. Called once at most. */
  readonly answer: (text: string, given?: unknown) => void
}

export const keyOf = (kind: string, id: string): string => `${kind}/${id}`

export const okText = (replyJson: string): string => `{"ok":${replyJson}}`
export const refusedText = (refusal: unknown): string => `{"refused":${JSON.stringify(refusal)}}`
export const failedText = (failure: Failure): string => `{"failed":${JSON.stringify(failure)}}`
