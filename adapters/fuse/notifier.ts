/**
 * The thread that tells the kernel what it should no longer believe. The kernel may make it wait for locks that are
 * held until a request is answered, so neither the thread that asks nor the one that answers may do this.
 */
import { writeSync } from "node:fs"
import { parentPort, workerData } from "node:worker_threads"
import type { Invalidation } from "../../runtime/ports/mount.ts"
import { tellAgain } from "./again.ts"
import type { Batch } from "./channel.ts"
import { encodeNotice } from "./notice.ts"
import { write } from "./reply.ts"

const port = parentPort
if (port === null) throw new Error("adapters/fuse/notifier.ts runs as a worker thread")
const fd = workerData as number

const isHeard = (invalidation: Invalidation): boolean => write(() => writeSync(fd, encodeNotice(invalidation)))

const again = tellAgain((ino) => isHeard({ kind: "inode", ino, offset: 0, length: 0 }))

port.on("message", ({ batch, invalidations }: Batch) => {
  // What the kernel never heard of, or has dropped already, it need not be told: write() says so and goes on.
  for (const invalidation of invalidations)
    if (!isHeard(invalidation) && invalidation.kind === "inode") again(invalidation.ino)
  port.postMessage(batch)
})
