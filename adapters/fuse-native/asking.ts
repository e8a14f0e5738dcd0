/** Asks a file system: first the part that answers at once, then the other one; both are on this thread here. */
import { Effect } from "effect"
import type { Answers, AsyncFiles, Errno, Later, Operation, Requests, SyncFiles } from "../../runtime/ports/mount.ts"

type Answer = Answers[Operation]
type SyncHandler = (request: object, out: Uint8Array) => Answer | string | Later
type AsyncHandler = (request: object, later: unknown) => Effect.Effect<Answer, Errno>

export type Ask = <Op extends Operation>(
  op: Op,
  asked: { readonly node: number } & Requests[Op],
  out?: Uint8Array
) => Effect.Effect<Answers[Op], Errno>

const nothing = new Uint8Array(0)
const isLater = (answer: unknown): answer is Later => typeof answer === "object" && answer !== null && "later" in answer

/** What the part that answers at once tells the other one, which hears it before it is asked anything else. */
export class Telling {
  private readonly hear: (message: unknown) => void
  private told: Array<unknown> = []

  constructor(hear: (message: unknown) => void) {
    this.hear = hear
  }

  tell(message: unknown): void {
    if (this.told.length === 0) queueMicrotask(() => this.deliver())
    this.told.push(message)
  }

  deliver(): void {
    const { told } = this
    if (told.length === 0) return
    this.told = []
    for (const message of told) this.hear(message)
  }
}

/**
 * libfuse's binding does not tell who asks: everything is asked by whoever mounted. `lastId` is larger than any that a
 * process before this one gave out in the same session.
 */
export const asking = (sync: SyncFiles, async: AsyncFiles, telling: Telling, lastId: number): Ask => {
  const syncHandlers = sync as unknown as Readonly<Record<string, SyncHandler | undefined>>
  const asyncHandlers = async as unknown as Readonly<Record<string, AsyncHandler | undefined>>
  const who = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, pid: process.pid, resent: false }
  let id = lastId
  return ((op: Operation, asked: { readonly node: number }, out: Uint8Array = nothing) =>
    Effect.suspend((): Effect.Effect<Answer, Errno> => {
      id += 1
      const request = { op, ...who, id, ...asked }
      const answer = syncHandlers[op]?.(request, out) ?? (op in sync ? undefined : { later: undefined })
      if (typeof answer === "string") return Effect.fail(answer as Errno)
      if (!isLater(answer)) return Effect.succeed(answer)
      telling.deliver()
      const handler = asyncHandlers[op]
      return handler === undefined ? Effect.fail("ENOSYS") : handler(request, answer.later)
    })) as Ask
}
