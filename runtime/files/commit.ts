/** Makes what is stored part of its file: one command for all the runs of a file that are ready, one after another. */
import { Effect } from "effect"
import { chunkBytes } from "../../messages/chunks.ts"
import { type Appendage, type Placement, writeSlicesMax } from "../../messages/slices.ts"
import type { CommandRefused, Commands, Stands } from "./commands.ts"
import type { Committed, Meters } from "./data.ts"
import type { DirtyFile, Trouble } from "./file.ts"
import type { SentRecord } from "./record.ts"
import type { Run } from "./slice.ts"
import type { Stage } from "./staging.ts"
import { takeTraits } from "./traits.ts"

const firstPauseMs = 100
const pauseMsMax = 5_000

export interface CommitHost {
  readonly commands: Commands
  readonly stage: Stage | undefined
  readonly meters: Meters
  readonly newId: Effect.Effect<string>
  readonly fork: (work: Effect.Effect<void>) => void
  readonly onCommitted: ((committed: Committed) => void) | undefined
  /** The runs leave the file: they are committed, or lost for a reason that the next flush says. */
  readonly leave: (file: DirtyFile, runs: ReadonlyArray<Run>, lost: Trouble | undefined) => void
  readonly troubled: (file: DirtyFile, trouble: Trouble) => void
  /** Nothing of it is being committed any more. */
  readonly rested: (file: DirtyFile) => void
}

/** The runs at the head of the file that can be committed by one command. A slice's runs go together. */
export const ready = (file: DirtyFile): ReadonlyArray<Run> => {
  const { runs } = file
  const first = runs[0]
  if (first === undefined || !first.slice.isStored) return []
  if (first.sent !== undefined) return runs.filter((run) => run.sent === first.sent)
  let count = 0
  for (let next = 0; next < runs.length; ) {
    const run = runs[next] as Run
    if (!run.slice.isStored || run.append !== first.append || run.sent !== undefined) break
    next += run.slice.runs.length
    if (next > writeSlicesMax) break
    count = next
  }
  return runs.slice(0, count)
}

const appendage = (run: Run): Appendage => {
  const { chunk, digests, id, length: size } = run.slice
  return { chunk, id, size, off: run.off, len: run.length, digests }
}

const placement = (run: Run): Placement => {
  const { chunk: keyChunk, digests, id, length: size } = run.slice
  const chunk = Math.floor(run.at / chunkBytes)
  const named = keyChunk === chunk ? {} : { keyChunk }
  return { chunk, pos: run.at - chunk * chunkBytes, id, size, off: run.off, len: run.length, digests, ...named }
}

const compose = (file: DirtyFile, runs: ReadonlyArray<Run>, id: string): SentRecord => {
  // An older run can have been written to last.
  const last = runs.reduce((newest, run) => (run.writtenMs >= newest.writtenMs ? run : newest))
  const change = { ino: file.ino, who: last.who, time: last.time, ...takeTraits(file, runs, last.time) }
  return {
    kind: "sent",
    id,
    ino: file.ino,
    runs: runs.map((run) => run.number),
    command: last.append
      ? { append: { ...change, slices: runs.map(appendage) } }
      : { write: { ...change, slices: runs.map(placement) } }
  }
}

export class Committer {
  private readonly host: CommitHost

  constructor(host: CommitHost) {
    this.host = host
  }

  pump(file: DirtyFile): void {
    if (file.pumping || file.held > 0 || ready(file).length === 0) return
    file.pumping = true
    this.host.fork(this.run(file))
  }

  private readonly run = Effect.fnUntraced(function* (this: Committer, file: DirtyFile) {
    while (file.held === 0) {
      const runs = ready(file)
      if (runs.length === 0) break
      yield* this.commit(file, runs)
    }
    file.pumping = false
    this.host.rested(file)
  })

  private readonly commit = Effect.fnUntraced(function* (this: Committer, file: DirtyFile, runs: ReadonlyArray<Run>) {
    const { host } = this
    const known = runs[0]?.sent
    const sent = known ?? compose(file, runs, yield* host.newId)
    if (known === undefined) {
      for (const run of runs) run.sent = sent
      // Unsaid on the stage, a crash would commit it with another id and other slices: to the same bytes, if nobody
      // else wrote in between. That is worth less than going on.
      host.stage?.sent(sent)
    }
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, pauseMsMax)) {
      const answer = yield* Effect.match(this.send(sent), {
        onFailure: (error) => error,
        onSuccess: (stands) => stands
      })
      if (!("_tag" in answer)) return this.committed(file, runs, answer)
      host.meters.commitFailures += 1
      if (answer._tag === "CommandRefused") return yield* this.refused(file, sent, answer)
      host.troubled(file, { errno: "EIO", why: answer.why })
      yield* Effect.sleep(pause)
    }
  })

  private send({ command, id }: SentRecord) {
    const { commands } = this.host
    return "write" in command
      ? Effect.map(commands.write(id, command.write), (stands): Stands & { readonly offset?: number } => stands)
      : commands.append(id, command.append)
  }

  private committed(file: DirtyFile, runs: ReadonlyArray<Run>, answer: Stands & { readonly offset?: number }): void {
    const { attributes, offset, version } = answer
    const { ino } = file
    this.host.meters.commits += 1
    const first = runs[0] as Run
    let length = 0
    for (const run of runs) length += run.length
    const believed = first.at
    if (offset === undefined) this.host.onCommitted?.({ ino, attributes, version })
    else {
      // What is appended behind it will lie behind it, wherever it came to lie.
      for (const run of file.runs.slice(runs.length)) {
        if (!run.append) break
        run.at += offset - believed
      }
      this.host.onCommitted?.({ ino, attributes, version, moved: { believed, offset, length } })
    }
    this.host.leave(file, runs, undefined)
  }

  /** What was set of the file is set all the same: only the bytes are lost. */
  private readonly refused = Effect.fnUntraced(function* (
    this: Committer,
    file: DirtyFile,
    { command, runs }: SentRecord,
    { errno, why }: CommandRefused
  ) {
    const { set, ino, who, time } = "write" in command ? command.write : command.append
    const isThere = errno !== "ENOENT" && errno !== "ESTALE"
    if (set !== undefined && isThere) {
      const alone = this.host.commands.write(yield* this.host.newId, { ino, who, time, slices: [], set })
      yield* Effect.catch(alone, (error) => Effect.logWarning("what was set of a file is lost with its bytes", error))
    }
    const lost = file.runs.filter(({ number }) => runs.includes(number))
    this.host.leave(file, lost, { errno, why })
  })
}
