/** Moves committed pages from the write-ahead log into the database file, in a thread of its own: it takes milliseconds. */
import { DatabaseSync } from "node:sqlite"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { type Store, walBytesMax } from "./store.ts"

/** A checkpoint's work is worth its two flushes from about here on. */
const checkpointBytesMin = walBytesMax / 2

/**
 * Under steady load the thread never quite catches up with the writer, and the write-ahead log only starts from its
 * beginning again when all of it was moved. Once it is that long the writer moves the short rest itself.
 */
const walPagesMax = walBytesMax / 4096

const role = "artifacts-sqlite-checkpoint"

export class Checkpointer {
  readonly #store: Store
  #worker: Worker | undefined
  #busy = false
  #bytes = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** To be told after every commit how much it wrote. */
  wrote(bytes: number): void {
    this.#bytes += bytes
    if (this.#busy || this.#bytes < checkpointBytesMin) return
    this.#bytes = 0
    this.#busy = true
    this.#worker ??= this.#start()
    this.#worker.postMessage("checkpoint")
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url), { workerData: { file: this.#store.file, role } })
    worker.on("message", (outcome: number | string) => {
      this.#busy = false
      if (typeof outcome === "string") this.#warn(outcome)
      else if (outcome > walPagesMax) this.#finish()
    })
    worker.on("error", (error) => {
      this.#worker = undefined
      this.#busy = false
      this.#warn(error.message)
    })
    worker.unref()
    return worker
  }

  #finish(): void {
    try {
      this.#store.checkpoint()
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
