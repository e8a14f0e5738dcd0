/**
 * Inodes that the kernel did not know when it was told to forget them. An answer about one may have been on its way to
 * a process all the same: that process makes the kernel know the inode as it was before, for as long as the kernel
 * keeps anything. So it is told again, when such a process has surely had its turn.
 */

/** When most have had it, and when those have that had to wait for a processor. */
const afterMs = [20, 500, 5_000]

class Stage {
  private inos = new Set<number>()
  private readonly afterMs: number
  private readonly tell: (ino: number) => void

  constructor(ms: number, tell: (ino: number) => void) {
    this.afterMs = ms
    this.tell = tell
  }

  add(ino: number): void {
    if (this.inos.size === 0) setTimeout(() => this.end(), this.afterMs)
    this.inos.add(ino)
  }

  private end(): void {
    const { inos } = this
    this.inos = new Set()
    for (const ino of inos) this.tell(ino)
  }
}

/** Takes an inode that was not known; `tell` says whether it is by now. */
export const tellAgain = (tell: (ino: number) => boolean): ((ino: number) => void) =>
  afterMs.reduceRight<(ino: number) => void>(
    (next, ms) => {
      const stage = new Stage(ms, (ino) => {
        if (!tell(ino)) next(ino)
      })
      return (ino) => stage.add(ino)
    },
    () => undefined
  )
