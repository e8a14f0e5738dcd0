/** What the clients of a world saw: when they asked, when they were answered, and what. */
import type { Answer } from "../../messages/envelope.ts"
import type { Op } from "./plan.ts"

export interface Asked {
  readonly client: number
  readonly op: Op
  readonly commandId: string
  readonly startedAt: number
  readonly endedAt: number
  /** Undefined when nobody answered in time. */
  readonly answer: Answer<unknown, { readonly _tag: string }> | undefined
}
