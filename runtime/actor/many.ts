/** Commands that a node sends to another one in one message: each is decided and answered as if it came alone. */
import type { Message } from "../ports/bus.ts"
import type { Delivery } from "./delivery.ts"
import { type Receiving, receive } from "./receive.ts"

/** Stands in the subject in place of a command's name; only a node's credentials allow its caller. */
export const manyName = "Many"
export const nodeCaller = "node"

export interface One {
  readonly caller: string
  readonly name: string
  readonly commandId: string
  /** JSON, which has no line ends of its own. */
  readonly body: string
}

/** A line for each: neither callers nor names nor ids have spaces. */
export const manyText = (all: ReadonlyArray<One>): string =>
  all.map(({ caller, name, commandId, body }) => `${caller} ${name} ${commandId} ${body}`).join("\n")

/** The answers in the same order, or undefined when they are not answers to so many. */
export const answersIn = (text: string, count: number): ReadonlyArray<string> | undefined => {
  const answers = text.split("\n")
  return answers.length === count ? answers : undefined
}

const oneOf = (line: string): One | undefined => {
  const [, caller, name, commandId, body] = /^(\S+) (\S+) (\S+) (.*)$/s.exec(line) ?? []
  if (caller === undefined || name === undefined || commandId === undefined || body === undefined) return undefined
  return { caller, name, commandId, body }
}

/** Every delivery that a message holds; what is malformed is answered here. */
export const receiveAll = (message: Message, at: Receiving): ReadonlyArray<Delivery> => {
  const delivery = receive(message, at)
  if (delivery === undefined) return []
  return delivery.name === manyName && delivery.caller === nodeCaller && delivery.verb === "do"
    ? taken(delivery)
    : [delivery]
}

const taken = (whole: Delivery): ReadonlyArray<Delivery> => {
  const lines = whole.body.split("\n").map(oneOf)
  const answers: Array<string> = []
  let left = lines.length
  const deliveries: Array<Delivery> = []
  for (const [index, one] of lines.entries()) {
    // What cannot be read is the whole's fault: it is refused like any command that is not known.
    if (one === undefined) return [whole]
    const answer = (text: string): void => {
      answers[index] = text
      left -= 1
      if (left === 0) whole.answer(answers.join("\n"))
    }
    deliveries.push({ ...whole, ...one, answer })
  }
  return deliveries
}
