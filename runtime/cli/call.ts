/** What a command asks of a node, and of the connection that carries it. */
import type { Effect } from "effect"
import type { Answer } from "../../messages/envelope.ts"
import type { Verb } from "../../messages/subjects.ts"
import type { Problem } from "./problem.ts"

export interface Call {
  readonly verb: Verb
  readonly kind: string
  readonly id: string
  readonly name: string
  /** JSON. */
  readonly body: string
  readonly commandId?: string
}

export interface Remote {
  readonly call: (call: Call) => Effect.Effect<Answer<unknown, { readonly _tag: string }>, Problem>
}

/** A person waits so long for an answer, and no longer. */
export const patienceMs = 10_000
