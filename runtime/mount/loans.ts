/** Which directories a mount would like to have lent, which it uses no more, and where the files are that it made. */
import type { Step } from "../../messages/workspace.ts"

/** Whoever makes a second entry in a directory within this time is likely to make many. */
const streakMs = 2_000
const streakLeast = 2
/** So long nobody else has to have changed anything there, or two hosts would take it from one another in turns. */
const quietMs = 1_000
/** A directory in which nothing was made for so long is given back: when this host dies, nobody has to wait for it. */
const idleMs = 10_000
/** Directories that it is remembered of. */
const rememberedMax = 4096

interface Use {
  madeAt: number
  made: number
  othersAt: number
}

export class Wishes {
  private readonly uses = new Map<number, Use>()

  private of(ino: number): Use {
    let use = this.uses.get(ino)
    if (use === undefined) {
      use = { madeAt: Number.NEGATIVE_INFINITY, made: 0, othersAt: Number.NEGATIVE_INFINITY }
      for (const [oldest] of this.uses) {
        if (this.uses.size < rememberedMax) break
        this.uses.delete(oldest)
      }
      this.uses.set(ino, use)
    }
    return use
  }

  /** Something was made there by this host. */
  made(ino: number, now: number): void {
    const use = this.of(ino)
    use.made = now - use.madeAt > streakMs ? 1 : use.made + 1
    use.madeAt = now
  }

  /** Something was changed there ahead. */
  used(ino: number, now: number): void {
    const use = this.of(ino)
    use.madeAt = Math.max(use.madeAt, now)
  }

  /** It is lent from now on. */
  begun(ino: number, now: number): void {
    const use = this.of(ino)
    use.madeAt = Math.max(use.madeAt, now)
  }

  /** Somebody else changed it, or wants to. */
  changed(ino: number, now: number): void {
    this.of(ino).othersAt = now
  }

  wants(ino: number, now: number): boolean {
    const { made, madeAt, othersAt } = this.of(ino)
    return made + 1 >= streakLeast && now - madeAt <= streakMs && now - othersAt > quietMs
  }

  isIdle(ino: number, now: number): boolean {
    const use = this.uses.get(ino)
    return use === undefined || now - use.madeAt > idleMs
  }
}

/** Files that are remembered: what is set of a file is set soon after it was made. */
const homesMax = 16_384

/** In which directory this mount made a file: in one that is lent, what is set of it need not wait either. */
export class Homes {
  private readonly homes = new Map<number, number>()

  of(ino: number): number {
    return this.homes.get(ino) ?? 0
  }

  put(ino: number, parent: number): void {
    this.homes.set(ino, parent)
    if (this.homes.size > homesMax) this.homes.delete(this.homes.keys().next().value as number)
  }

  moved(step: Step): void {
    if ("removed" in step) this.homes.delete(step.removed.ino)
    else if ("moved" in step && this.homes.has(step.moved.ino)) this.homes.set(step.moved.ino, step.moved.toParent)
  }
}
