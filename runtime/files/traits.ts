/** Modes, owners and times that are set on a file with bytes that are not committed: they travel with those. */
import { Effect } from "effect"
import { withoutPrivileges } from "../../actors/workspace/decide/rules.ts"
import type { Time, Who } from "../../messages/inode.ts"
import type { Traits } from "../../messages/workspace-events.ts"
import type { DirtyFile } from "./file.ts"
import type { Run } from "./slice.ts"
import type { Stage } from "./staging.ts"

/** A file that is not closed is sent on its way after this, so that others hear of what was set. */
const soonMs = 25

export interface DressingHost {
  readonly stage: Stage | undefined
  readonly fork: (work: Effect.Effect<void>) => void
  readonly freeze: (file: DirtyFile) => void
}

const isLater = (a: Time, b: Time): boolean => a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])

/** What goes with these runs, the last of which was written to at that time; from then on it is theirs alone. */
export const takeTraits = (file: DirtyFile, runs: ReadonlyArray<Run>, time: Time): { readonly set?: Traits } => {
  const { set } = file
  if (set === undefined || !runs.some(({ number }) => number === set.run)) return {}
  file.set = undefined
  // What was written since has changed it again.
  return { set: isLater(time, set.traits.ctime) ? { ...set.traits, ctime: time } : set.traits }
}

/** Whether something is set that the workspace has not answered for. */
export const isDressed = ({ runs, set }: DirtyFile): boolean => set !== undefined || runs.some(isSentDressed)

const isSentDressed = ({ sent }: Run): boolean => {
  const { command } = sent ?? {}
  if (command === undefined) return false
  return ("write" in command ? command.write : command.append).set !== undefined
}

export class Dressing {
  private readonly host: DressingHost
  private readonly due = new Set<DirtyFile>()
  private isWaiting = false

  constructor(host: DressingHost) {
    this.host = host
  }

  /** False where there is nothing that it could travel with. */
  set(file: DirtyFile, traits: Traits): boolean {
    const last = file.runs.at(-1)
    if (last === undefined || last.sent !== undefined || file.held > 0) return false
    if (!this.put(file, last.number, { ...file.set?.traits, ...traits })) return false
    this.due.add(file)
    if (!this.isWaiting) {
      this.isWaiting = true
      this.host.fork(this.soon)
    }
    return true
  }

  private put(file: DirtyFile, run: number, traits: Traits): boolean {
    const failed = this.host.stage?.noted({ kind: "set", run, ino: file.ino, set: traits })
    if (failed !== undefined) return false
    file.set = { run, traits }
    return true
  }

  /** A write is a change of its own: it has its own time, and takes privileges away. */
  wrote(file: DirtyFile, { uid }: Who): void {
    if (file.set === undefined) return
    const { run, traits } = file.set
    const { mtime, ...rest } = traits
    const mode = uid === 0 || traits.mode === undefined ? undefined : withoutPrivileges(traits.mode)
    if (mtime === undefined && mode === undefined) return
    const left = mode === undefined ? rest : { ...rest, mode }
    // Where the stage takes it not, a successor sets the time that was set before: nobody who writes waits for that.
    if (!this.put(file, run, left)) file.set = { run, traits: left }
  }

  private readonly soon: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    while (this.due.size > 0) {
      const before = [...this.due]
      this.due.clear()
      yield* Effect.sleep(soonMs)
      for (const file of before) if (file.set !== undefined) this.host.freeze(file)
    }
    this.isWaiting = false
  })
}
