/** A file system on an open device: the two threads, what they exchange, and their common end. */
import { spawn } from "node:child_process"
import { Worker } from "node:worker_threads"
import { Cause, Deferred, Effect, type Scope } from "effect"
import type { Invalidation, Mounted, Mounting } from "../../runtime/ports/mount.ts"
import { Answering } from "./answering.ts"
import type { Batch, Order, Report, Start } from "./channel.ts"
import { collect } from "./collect.ts"
import type { Negotiated } from "./init.ts"
import { mounted } from "./place.ts"

/** An open device whose first exchange is done. */
export interface Device {
  readonly fd: number
  readonly negotiated: Negotiated
  /** Waits until this process may read requests. Everything else is prepared before. */
  readonly turn?: Effect.Effect<void>
}

/** How long the asking thread may take to notice the end of the mount. */
const endWaitMs = 1000
/** How long requests under way may take to be answered then; what waits for a lock is sent again to a successor. */
const drainMs = 2000

/** Tells the kernel what it should forget, from a thread of its own that is started when it is first needed. */
class Notifying {
  private readonly fd: number
  private readonly broken: (why: unknown) => void
  private readonly waiting: Array<{ readonly batch: number; readonly done: () => void }> = []
  private worker: Worker | undefined
  private sent = 0
  private done = 0

  constructor(fd: number, broken: (why: unknown) => void) {
    this.fd = fd
    this.broken = broken
  }

  readonly invalidate = (invalidations: ReadonlyArray<Invalidation>): void => {
    if (invalidations.length === 0) return
    this.worker ??= this.started()
    this.worker.postMessage({ batch: ++this.sent, invalidations } satisfies Batch)
  }

  readonly invalidated = Effect.callback<void>((resume) => {
    if (this.done === this.sent) return resume(Effect.void)
    this.waiting.push({ batch: this.sent, done: () => resume(Effect.void) })
  })

  end(): Promise<unknown> | undefined {
    return this.worker?.terminate()
  }

  private started(): Worker {
    const worker = new Worker(new URL("./notifier.ts", import.meta.url), { workerData: this.fd })
    worker.on("message", (batch: number) => {
      this.done = batch
      while (this.waiting[0] !== undefined && this.waiting[0].batch <= batch) this.waiting.shift()?.done()
    })
    worker.on("error", this.broken)
    worker.unref()
    return worker
  }
}

const askingThread = (module: string) => new Worker(new URL("./worker.ts", import.meta.url), { workerData: module })

let prepared: { readonly module: string; readonly worker: Worker } | undefined

/** Starts the asking thread before it is known what it will serve: its module takes a while to load. */
export const prepare = (module: string): void => {
  prepared = { module, worker: askingThread(module) }
}

/** Has the thread that was started before prepare what it will serve. */
export const prepareData = ({ module, data }: Mounting["sync"]): boolean => {
  if (prepared?.module !== module) return false
  prepared.worker.postMessage({ kind: "prepare", data } satisfies Order)
  return true
}

const threadFor = (module: string): Worker => {
  const was = prepared
  prepared = undefined
  if (was?.module === module) return was.worker
  void was?.worker.terminate()
  return askingThread(module)
}

interface Asking {
  readonly worker: Worker
  readonly loaded: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<void>
}

/**
 * Ends the asking thread: by itself when the mount is gone. Else it must be woken, which takes a request that always
 * reaches it; it answers that one, and leaves the device to others.
 */
const stop = Effect.fnUntraced(function* (place: string, { ended, worker }: Asking) {
  const patient = Deferred.await(ended).pipe(Effect.timeoutOption(endWaitMs))
  if (mounted(place) !== undefined) {
    worker.postMessage({ kind: "stop" } satisfies Order)
    // Asked by a process of its own, for the answer may be left to a successor, for whose sake this process must end.
    // The answer tells nothing: when the mount has gone meanwhile, the thread has noticed by itself.
    spawn("stat", ["-f", place], { stdio: "ignore", detached: true })
      .once("error", () => undefined)
      .unref()
  }
  yield* patient
  // A thread that still blocks ends with its read; nobody may wait for it.
  worker.unref()
})

/**
 * Serves until the scope closes; returns when requests are answered. The device stays open, and mounted, for whoever
 * opened it.
 */
export const serve: (device: Device, mounting: Mounting) => Effect.Effect<Mounted, never, Scope.Scope> =
  Effect.fnUntraced(function* ({ fd, negotiated, turn }, { files, place, sync }) {
    const context = yield* Effect.context<never>()
    const start: Start = { fd, negotiated, data: sync.data }
    const asking: Asking = {
      worker: threadFor(sync.module),
      loaded: Deferred.makeUnsafe(),
      ended: Deferred.makeUnsafe()
    }
    const { ended, loaded, worker } = asking
    const order = (what: Order, transfer: ReadonlyArray<ArrayBuffer> = []) => worker.postMessage(what, [...transfer])
    const log = Effect.runForkWith(context)
    const answering = new Answering(fd, files, context, {
      giveBack: (number) => order({ kind: "buffer", number }),
      defect: (op, cause) => log(Effect.logError(`the file system failed at ${op}, and EIO was answered`, cause))
    })
    const broken = (why: unknown) => {
      Deferred.doneUnsafe(loaded, Effect.die(why))
      Deferred.doneUnsafe(ended, Effect.die(why))
    }
    const heard = (report: Report): void => {
      if (report.kind === "handed") answering.take(report)
      else if (report.kind === "shared") answering.share(report.number, report.buffer)
      else if (report.kind === "unshared") answering.share(report.number, undefined)
      else if (report.kind === "interrupted") answering.interrupt(report.id)
      else if (report.kind === "told") files.heard?.(report.message)
      else if (report.kind === "loaded") Deferred.doneUnsafe(loaded, Effect.void)
      else if (report.kind === "ended") Deferred.doneUnsafe(ended, Effect.void)
      else
        log(
          Effect.logError(
            `the file system failed at request ${report.opcode}, and EIO was answered`,
            Cause.die(report.why)
          )
        )
    }
    worker.on("message", heard)
    worker.on("error", broken)
    order({ kind: "start", start })
    const notifying = new Notifying(fd, broken)
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        yield* stop(place, asking)
        yield* answering.drained.pipe(Effect.timeoutOption(drainMs))
        answering.abandon()
        yield* Effect.promise(async () => notifying.end())
      })
    )
    // While the other thread is still at it.
    yield* Effect.sync(collect)
    yield* Deferred.await(loaded)
    if (turn !== undefined) yield* turn
    order({ kind: "go" })
    return {
      tell: (message, transfer) => order({ kind: "tell", message }, transfer),
      invalidate: notifying.invalidate,
      invalidated: notifying.invalidated,
      ended: Deferred.await(ended)
    }
  })
