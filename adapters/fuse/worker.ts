/** The thread that blocks on the device: it loads the synchronous part and serves until the mount ends. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import type { SyncModule } from "../../runtime/ports/mount.ts"
import type { Order, Report, Start } from "./channel.ts"
import { collect } from "./collect.ts"
import { Loop } from "./loop.ts"

const port = parentPort
if (port === null) throw new Error("adapters/fuse/worker.ts runs as a worker thread")

const report = (what: Report, transfer: ReadonlyArray<ArrayBuffer> = []) => port.postMessage(what, [...transfer])
const { open, prepare } = (await import(workerData as string)) as SyncModule
const host = {
  nowMs: () => performance.timeOrigin + performance.now(),
  tell: (message: unknown, transfer?: ReadonlyArray<ArrayBuffer>) => report({ kind: "told", message }, transfer)
}

let prepared: unknown

const loopOf = ({ data, fd, negotiated }: Start): Loop => {
  return new Loop(fd, negotiated, open(data, host, prepared), {
    report,
    order: () => receiveMessageOnPort(port)?.message as Order | undefined
  })
}

const loop = await new Promise<Loop>((resolve) => {
  let made: Loop | undefined
  // A spare waits here for its turn, and hears what it is told as if it served already.
  const hear = (order: Order): void => {
    if (order.kind === "prepare") prepared = prepare?.(order.data)
    else if (order.kind === "start") {
      made = loopOf(order.start)
      prepared = undefined
      collect()
      report({ kind: "loaded" })
    } else if (made === undefined) throw new Error(`the asking thread was told ${order.kind} before it was started`)
    else if (order.kind !== "go") made.obey(order)
    else {
      port.off("message", hear)
      resolve(made)
    }
  }
  port.on("message", hear)
})
loop.run()
report({ kind: "ended" })
port.close()
