/** Moves committed pages from the write-ahead log into the file, in a thread of its own, for it takes milliseconds. */
import { DatabaseSync } from "node:sqlite"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
// A type alone: the thread has only what it needs in memory, which is a fifth of what a node loads.
import type { Store } from "./store.ts"

/**
 * The write-ahead log starts over when it is about this long. It is filled with zeros to this length when it is made,
 * for a flush of blocks that exist takes half the time of one that makes the file grow.
 */
export const walBytesMax = 8 * 1024 * 1024

/** A checkpoint's work is worth its two flushes from about here on. */
const checkpointBytesMin = walBytesMax / 2

/**
 * Under steady load the thread never quite catches up with the writer, and the write-ahead log only starts from its
 * beginning again when all of it was moved. Once it is that long the writer moves the short rest itself.
 */
const walPagesMax = walBytesMax / 4096

/** From this length on commits wait for the thread: on a disk that is slower than they are it would grow for ever. */
const walBytesLimit = 4 * walBytesMax

const role = "artifacts-sqlite-checkpoint"

export class Checkpointer {
  readonly #store: Store
  #worker: Worker | undefined
  readonly #caughtUp: () => void
  #busy = false
  /** Written since the last checkpoint began, and since the write-ahead log started over. */
  #bytes = 0
  #walBytes = 0

  constructor(store: Store, caughtUp: () => void) {
    this.#store = store
    this.#caughtUp = caughtUp
  }

  /** Whether commits have to wait until they hear that we have caught up. */
  get isBehind(): boolean {
    return this.#busy && this.#walBytes > walBytesLimit
  }

  /** To be told after every commit how much it wrote. */
  wrote(bytes: number): void {
    this.#bytes += bytes
    this.#walBytes += bytes
    if (this.#busy || this.#bytes < checkpointBytesMin) return
    this.#bytes = 0
    this.#busy = true
    this.#worker ??= this.#start()
    // While it works commits may wait for it, and so it keeps the process alive; while it idles it does not.
    this.#worker.ref()
    this.#worker.postMessage("checkpoint")
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url), { workerData: { file: this.#store.file, role } })
    worker.on("message", (outcome: number | string) => {
      this.#busy = false
      worker.unref()
      if (typeof outcome === "string") this.#warn(outcome)
      else if (outcome > walPagesMax) this.#finish()
      this.#caughtUp()
    })
    worker.on("error", (error) => {
      this.#worker = undefined
      this.#busy = false
      this.#warn(error.message)
      this.#caughtUp()
    })
    return worker
  }

  #finish(): void {
    try {
      this.#store.checkpoint()
      this.#walBytes = 0
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error))
    }
  }

  /** Nothing is lost by it: what was committed stays in the write-ahead log, and the next checkpoint tries again. */
  #warn(why: string): void {
    process.emitWarning(`the write-ahead log of ${this.#store.file} grows, for its checkpoint failed: ${why}`)
  }

  async close(): Promise<void> {
    this.#busy = true
    await this.#worker?.terminate()
  }
}

const serve = (file: string): void => {
  const database = new DatabaseSync(file, { timeout: 5000 })
  const checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)")
  parentPort?.on("message", () => {
    try {
      const { log } = checkpoint.get() ?? {}
      parentPort?.postMessage(Number(log ?? 0))
    } catch (error) {
      parentPort?.postMessage(error instanceof Error ? error.message : String(error))
    }
  })
}

const isOurs = (data: unknown): data is { readonly role: string; readonly file: string } =>
  typeof data === "object" && data !== null && "role" in data && data.role === role

if (!isMainThread && isOurs(workerData)) serve(workerData.file)
