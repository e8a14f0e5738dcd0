/** What became of accepted bytes that cannot be kept: it is told once, by this process or by one that follows it. */
import { Effect } from "effect"
import type { DirtyFile, Trouble } from "./file.ts"
import type { Stage } from "./staging.ts"

/** An answer has left this process by then, or the process has died with it and its successor has to give it. */
const toldMs = 5_000

export class Failures {
  /** Accepted bytes of any file may be lost: each says so when it is first asked. */
  suspect: Trouble | undefined
  private readonly suspected = new Set<number>()
  private readonly stage: Stage | undefined
  private readonly newNumber: () => number
  private readonly fork: (work: Effect.Effect<void>) => void

  /** Failures are numbered as runs are, for the stage keeps both until they are over. */
  constructor(stage: Stage | undefined, newNumber: () => number, fork: (work: Effect.Effect<void>) => void) {
    this.stage = stage
    this.newNumber = newNumber
    this.fork = fork
  }

  /** It is kept until somebody asks, on the stage too: this process may not live to be asked. */
  note(file: DirtyFile, { errno, why }: Trouble): void {
    if (file.failed !== undefined) return
    file.failed = { errno, why, run: this.newNumber() }
    this.stage?.noted({ kind: "failed", ino: file.ino, ...file.failed })
  }

  /** Somebody is told, or nobody needs to be any more. */
  told(file: DirtyFile): Trouble | undefined {
    const { failed } = file
    file.failed = undefined
    if (failed === undefined || this.stage === undefined) return failed
    const over = Effect.sync(() => void this.stage?.over([failed.run]))
    this.fork(Effect.delay(over, toldMs))
    return failed
  }

  /** The first who asks for this file is told what may be true of any. */
  suspectOf(ino: number): Trouble | undefined {
    if (this.suspect === undefined || this.suspected.has(ino)) return undefined
    this.suspected.add(ino)
    return this.suspect
  }
}
