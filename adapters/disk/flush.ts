/** Waits for the disk: at once where nobody else is held up by that and the disk is quick, or in the thread pool. */
import { fsync, fsyncSync } from "node:fs"
import { promisify } from "node:util"

const later = promisify(fsync)

/** A way through the thread pool and back costs two wake-ups: as much as a quick disk itself. */
const quickMs = 0.5
const newestShare = 0.125

export class Flusher {
  /** Who is at work: only one that is alone may keep the thread. */
  working = 0
  /** What a flush took lately: at first it is not known, and so left to a thread. */
  private ms = quickMs

  readonly flush = async (fd: number, isSmall: boolean): Promise<void> => {
    const began = performance.now()
    if (isSmall && this.working <= 1 && this.ms < quickMs) fsyncSync(fd)
    else await later(fd)
    this.ms += (performance.now() - began - this.ms) * newestShare
  }
}
