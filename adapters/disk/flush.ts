/** Waits for the disk: at once where nobody else is held up by that and the disk is quick, or in the thread pool. */
import { fsync, fsyncSync } from "node:fs"
import { promisify } from "node:util"

const later = promisify(fsync)

/** A way through the thread pool and back costs two wake-ups: as much as a quick disk itself. */
const quickMs = 0.5
/**
 * How much the newest flush counts in what is expected of the next. Only those at once are counted: on a busy host the
 * others mostly wait for a processor. So every sixteenth is done at once to see.
 */
const newestShare = 0.25
const lookEvery = 16
/** One that took very long tells of what has passed: it counts as this, or all would be left to threads for it. */
const slowMs = 2 * quickMs

export class Flusher {
  readonly synced: boolean
  /** Who is at work: only one that is alone may keep the thread. */
  working = 0
  /** At first it is not known, and so left to a thread. */
  private ms = quickMs
  private count = 0

  /** Without `synced` nothing is waited for: what is stored survives every process, and not the loss of power. */
  constructor(synced = true) {
    this.synced = synced
  }

  readonly flush = async (fd: number, isSmall: boolean): Promise<void> => {
    if (!this.synced) return
    const isQuick = this.ms < quickMs || ++this.count % lookEvery === 0
    if (!isSmall || this.working > 1 || !isQuick) return await later(fd)
    const began = performance.now()
    fsyncSync(fd)
    this.ms += (Math.min(performance.now() - began, slowMs) - this.ms) * newestShare
  }
}
