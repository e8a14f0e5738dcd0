/** Between libfuse's threads and this one: each request becomes a fibre, whose end is the signal that it waits for. */
import { constants } from "node:os"
import { Cause, type Context, Effect, Exit } from "effect"
import type { Binding, Handler, Slot } from "./binding.ts"
import type { Operation, Told } from "./operation.ts"
import type { Fault } from "./paths.ts"

/** Gets what the file system did wrong; who asked has been told EIO. */
export type Defect = (name: string, cause: Cause.Cause<unknown>) => void

/** One more than the last operation that the binary knows. */
const operationsMax = 35

const numbers: Readonly<Record<string, number>> = constants.errno
const numberOf = (fault: Fault): number => -(numbers[fault] ?? constants.errno.EIO)

/** Operations that are not the file system's. */
const ignored: Handler = () => undefined

export class Handlers {
  readonly list: Array<Handler> = new Array(operationsMax - 1).fill(ignored)
  readonly implemented = new Uint32Array(operationsMax)
  private readonly made: Binding
  private readonly run: (effect: ReturnType<Operation["run"]>) => ReturnType<typeof Effect.runFork<Told, Fault>>
  private readonly defect: Defect

  constructor(made: Binding, context: Context.Context<never>, defect: Defect) {
    this.made = made
    this.run = Effect.runForkWith(context)
    this.defect = defect
  }

  /** The first request of all, which says that the file system is there. */
  begin(heard: () => void): void {
    const signal = this.signalOf("init")
    this.put("init", (slot) => {
      heard()
      signal(slot, 0)
    })
  }

  add(name: string, operation: Operation): void {
    const signal = this.signalOf(name)
    this.put(name, (slot, _, ...args) => {
      const fiber = this.run(Effect.suspend(() => operation.run(slot, args)))
      const finish = (exit: Exit.Exit<Told, Fault>): void => {
        if (Exit.isSuccess(exit)) signal(slot, exit.value.result, ...(exit.value.given ?? []))
        else signal(slot, numberOf(this.faultOf(name, exit.cause)), ...operation.blank(args))
      }
      const exit = fiber.pollUnsafe()
      if (exit === undefined) fiber.addObserver(finish)
      else finish(exit)
    })
  }

  private faultOf(name: string, cause: Cause.Cause<Fault>): Fault {
    const reason = cause.reasons[0]
    if (reason?._tag === "Fail") return reason.error
    if (Cause.hasInterruptsOnly(cause)) return "EINTR"
    this.defect(name, cause)
    return "EIO"
  }

  private put(name: string, handler: Handler): void {
    const at = this.made[`op_${name}`]
    if (at === undefined) throw new Error(`fuse-native has no operation ${name}`)
    this.list[at] = handler
    this.implemented[at] = 1
  }

  private signalOf(name: string): (slot: Slot, result: number, ...given: ReadonlyArray<unknown>) => void {
    const signal = this.made[`fuse_native_signal_${name}`]
    if (signal === undefined) throw new Error(`fuse-native has no signal for ${name}`)
    return signal
  }
}
