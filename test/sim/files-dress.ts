/** Rights and times that one program sets of its own file: what they may be, by what it was told. */
import type { Stat } from "../../runtime/ports/mount.ts"

export class Dress {
  private modes = new Set([0o644])
  /** Those that it had since it was last kept. */
  private before = new Set<number>()
  /** While nothing else has changed it. */
  private mtime: number | undefined

  set(mode: number, mtime: number, isAnswered: boolean): void {
    for (const one of this.modes) this.before.add(one)
    if (isAnswered) this.modes = new Set([mode])
    else this.modes.add(mode)
    this.mtime = isAnswered ? mtime : undefined
  }

  changed(): void {
    this.mtime = undefined
  }

  kept(): void {
    this.before.clear()
  }

  doubted(): void {
    for (const one of this.before) this.modes.add(one)
    this.mtime = undefined
  }

  fault({ mode, mtimeS }: Stat): string | undefined {
    if (!this.modes.has(mode & 0o7777)) return `its mode is ${mode.toString(8)}, and was set otherwise`
    return this.mtime === undefined || this.mtime === mtimeS ? undefined : `its time is not the one that was set`
  }
}
