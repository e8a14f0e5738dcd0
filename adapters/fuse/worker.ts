/** The thread that blocks on the device: it loads the synchronous part and serves until the mount ends. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import type { SyncModule } from "../../runtime/ports/mount.ts"
import type { Order, Report, Start } from "./channel.ts"
import { Loop } from "./loop.ts"

const port = parentPort
if (port === null) throw new Error("adapters/fuse/worker.ts runs as a worker thread")

const report = (what: Report, transfer: ReadonlyArray<ArrayBuffer> = []) => port.postMessage(what, [...transfer])
const { data, fd, module, negotiated } = workerData as Start
const { open } = (await import(module)) as SyncModule
const files = open(data, { tell: (message, transfer) => report({ kind: "told", message }, transfer) })
const loop = new Loop(fd, negotiated, files, {
  report,
  order: () => receiveMessageOnPort(port)?.message as Order | undefined
})
await new Promise<void>((resolve) => {
  // A spare waits here for its turn, and hears what it is told as if it served already.
  const hear = (order: Order): void => {
    if (order.kind !== "go") return loop.obey(order)
    port.off("message", hear)
    resolve()
  }
  port.on("message", hear)
  report({ kind: "loaded" })
})
loop.run()
report({ kind: "ended" })
port.close()
