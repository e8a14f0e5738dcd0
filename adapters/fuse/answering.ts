/** The main thread's half: requests become fibres, their ends become replies, and an interrupt ends a fibre. */
import { Cause, type Context, Effect, Exit, type Fiber } from "effect"
import type { Answer, AsyncFiles, Errno, Request } from "../../runtime/ports/mount.ts"
import { isDying } from "./caller.ts"
import type { Handed } from "./channel.ts"
import { errnos } from "./errno.ts"
import { Reply } from "./reply.ts"

/** Gets what the file system did wrong; the kernel has been told EIO. */
export type Defect = (op: string, cause: Cause.Cause<unknown>) => void

interface UnderWay {
  readonly request: Request
  readonly fiber: Fiber.Fiber<Answer, Errno>
}

type Handler = (request: Request, later: unknown) => Effect.Effect<Answer, Errno>

/** How soon a caller that was killed comes free of a request that takes long. */
const dyingLookMs = 200

export class Answering {
  private readonly handlers: Readonly<Record<string, Handler | undefined>>
  private readonly reply: Reply
  private readonly run: (effect: Effect.Effect<Answer, Errno>) => Fiber.Fiber<Answer, Errno>
  private readonly fibers = new Map<number, UnderWay>()
  private readonly giveBack: (number: number) => void
  /** The buffers of the other thread that the bytes of large writes lie in. */
  private readonly buffers = new Map<number, SharedArrayBuffer>()
  private readonly defect: Defect
  private abandoned = false
  private idle: () => void = () => undefined

  constructor(
    fd: number,
    files: AsyncFiles,
    context: Context.Context<never>,
    edges: { readonly giveBack: (number: number) => void; readonly defect: Defect }
  ) {
    this.handlers = files as unknown as Readonly<Record<string, Handler | undefined>>
    this.reply = new Reply(fd)
    this.run = Effect.runForkWith(context)
    this.giveBack = edges.giveBack
    this.defect = edges.defect
  }

  /** Waits until nothing is under way. */
  readonly drained = Effect.callback<void>((resume) => {
    if (this.fibers.size === 0) return resume(Effect.void)
    this.idle = () => resume(Effect.void)
  })

  share(number: number, buffer: SharedArrayBuffer | undefined): void {
    if (buffer === undefined) this.buffers.delete(number)
    else this.buffers.set(number, buffer)
  }

  private whole({ place, request }: Handed): Request {
    if (place === undefined || request.op !== "write") return request
    const { at, length, number } = place
    return { ...request, data: new Uint8Array(this.buffers.get(number) as SharedArrayBuffer, at, length) }
  }

  take(handed: Handed): void {
    const { high, low } = handed
    const request = this.whole(handed)
    const handler = this.handlers[request.op]
    if (handler === undefined) return this.reply.fail(low, high, "ENOSYS")
    const fiber = this.run(Effect.suspend(() => handler(request, handed.later)))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.finish(handed, exit)
    this.fibers.set(request.id, { request, fiber })
    fiber.addObserver((end) => {
      this.fibers.delete(request.id)
      if (!this.abandoned) this.finish(handed, end)
      if (this.fibers.size === 0) this.idle()
    })
  }

  /**
   * A signal came for the caller. It ends the wait for a lock; other calls end by no signal, as on a local disk, but by
   * the caller's death, which may come later. A request that has been answered meanwhile is not known any more.
   */
  interrupt(id: number): void {
    const found = this.fibers.get(id)
    if (found === undefined) return
    if (found.request.op === "setlk" || isDying(found.request.pid)) found.fiber.interruptUnsafe()
    else setTimeout(() => this.interrupt(id), dyingLookMs).unref()
  }

  /** Ends what is under way without an answer: the kernel sends it again to whoever takes the device. */
  abandon(): void {
    this.abandoned = true
    for (const { fiber } of this.fibers.values()) fiber.interruptUnsafe()
  }

  private finish({ high, low, opcode, place, request }: Handed, exit: Exit.Exit<Answer, Errno>): void {
    if (Exit.isSuccess(exit)) this.succeed({ low, high, opcode, request }, exit.value)
    else this.fail({ low, high }, request.op, exit.cause)
    if (place !== undefined) this.giveBack(place.number)
  }

  private succeed({ high, low, opcode, request }: Omit<Handed, "kind" | "later">, answer: Answer): void {
    try {
      this.reply.answer(low, high, opcode, request, answer)
    } catch (why) {
      this.reply.fail(low, high, "EIO")
      this.defect(request.op, Cause.die(why))
    }
  }

  private fail({ high, low }: Pick<Handed, "high" | "low">, op: string, cause: Cause.Cause<Errno>): void {
    const reason = cause.reasons[0]
    if (reason?._tag === "Fail" && reason.error in errnos) return this.reply.fail(low, high, reason.error)
    if (Cause.hasInterruptsOnly(cause)) return this.reply.fail(low, high, "EINTR")
    this.reply.fail(low, high, "EIO")
    this.defect(op, cause)
  }
}
