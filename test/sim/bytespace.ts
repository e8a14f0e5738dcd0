/** The bytes of a workspace's files in memory: what its actor does with slices, as shortly as it can be said. */
import { Effect } from "effect"
import { chunkBytes } from "../../messages/chunks.ts"
import type { Attributes } from "../../messages/inode.ts"
import { blocksOf, type Part, type Placement } from "../../messages/slices.ts"
import type { Traits } from "../../messages/workspace-events.ts"
import {
  type AppendCommand,
  type Appended,
  type CommandFailed,
  CommandRefused,
  type Commands,
  CommandUnanswered,
  type Stands,
  type WriteCommand
} from "../../runtime/files/commands.ts"
import type { KeyOf } from "../../runtime/files/keys.ts"

interface File {
  parts: Array<Part>
  size: number
}

export interface Faults {
  /** Before it is done, and after: the answer is lost. */
  readonly lost: () => boolean
  readonly lostAnswer: () => boolean
  readonly delayMs: () => number
}

export const calm: Faults = { lost: () => false, lostAnswer: () => false, delayMs: () => 0 }

export class Bytespace {
  readonly files = new Map<number, File>()
  readonly applied: Array<string> = []
  /** What was set of files behind their bytes, in its order. */
  readonly set: Array<Traits & { readonly ino: number; readonly slices: number }> = []
  bytesMax = Number.MAX_SAFE_INTEGER
  isOver = false
  version = 0
  private readonly answers = new Map<string, Stands | Appended>()
  private readonly reserved = new Set<number>()
  private nextId = 1
  private readonly stored: (key: string) => boolean
  private readonly keyOf: KeyOf

  /**
   * `stored` says whether there is an object with this key: a slice may not be committed before its blocks are
   * stored.
   */
  constructor(keyOf: KeyOf, stored: (key: string) => boolean) {
    this.keyOf = keyOf
    this.stored = stored
  }

  file(ino: number): File {
    let file = this.files.get(ino)
    if (file === undefined) {
      file = { parts: [], size: 0 }
      this.files.set(ino, file)
    }
    return file
  }

  truncate(ino: number, size: number): void {
    const file = this.file(ino)
    if (size < file.size) clear(file, size, Number.MAX_SAFE_INTEGER)
    file.size = size
    this.version += 1
  }

  private check(ino: number, slices: ReadonlyArray<Placement>): CommandRefused | undefined {
    if (this.isOver) return new CommandRefused({ errno: "ESTALE", why: "the session is over" })
    for (const { chunk, digests, id, keyChunk, len, off, pos, size } of slices) {
      const blocks = blocksOf(size)
      if (len <= 0 || off + len > size || pos + len > chunkBytes || digests.length !== blocks * 16)
        throw new Error(`a slice that cannot be: ${JSON.stringify({ chunk, id, len, off, pos, size })}`)
      if (!this.reserved.has(id)) return new CommandRefused({ errno: "ESTALE", why: `slice ${id} is not reserved` })
      for (let index = 0; index < blocks; index++) {
        const key = this.keyOf({ id, size, home: { ino, chunk: keyChunk ?? chunk } }, index)
        if (!this.stored(key)) throw new Error(`slice ${id} is committed, and ${key} is not stored`)
      }
    }
    const used = [...this.files.values()].reduce((sum, { size }) => sum + size, 0)
    return used > this.bytesMax ? new CommandRefused({ errno: "ENOSPC", why: "it is full" }) : undefined
  }

  private put({ ino, set }: WriteCommand | AppendCommand, slices: ReadonlyArray<Placement>): Stands | CommandRefused {
    const refused = slices.length === 0 ? undefined : this.check(ino, slices)
    if (refused !== undefined) return refused
    if (set !== undefined) this.set.push({ ...set, ino, slices: slices.length })
    const file = this.file(ino)
    for (const { chunk, digests, id, keyChunk, len, off, pos, size } of slices) {
      const at = chunk * chunkBytes + pos
      clear(file, at, at + len)
      file.parts.push({ at, len, id, size, off, digests, home: { ino, chunk: keyChunk ?? chunk } })
      file.parts.sort((a, b) => a.at - b.at)
      file.size = Math.max(file.size, at + len)
    }
    for (const { id } of slices) this.reserved.delete(id)
    this.version += 1
    return this.stands(ino)
  }

  private stands(ino: number): Stands {
    const time = [0, 0] as const
    const attributes: Attributes = {
      ino,
      type: "file",
      mode: 0o644,
      nlink: 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      size: this.file(ino).size,
      used: 0,
      atime: time,
      mtime: time,
      ctime: time
    }
    return { attributes, version: this.version }
  }

  private once<A extends Stands>(id: string, act: () => A | CommandRefused): Effect.Effect<A, CommandRefused> {
    return Effect.suspend(() => {
      const known = this.answers.get(id)
      if (known !== undefined) return Effect.succeed(known as A)
      const done = act()
      if (done instanceof CommandRefused) return Effect.fail(done)
      this.answers.set(id, done)
      this.applied.push(id)
      return Effect.succeed(done)
    })
  }

  private plan(ino: number, offset: number, length: number, partsMax: number) {
    const file = this.file(ino)
    const end = Math.min(offset + length, file.size)
    const parts: Array<Part> = []
    let at = offset
    const hole = (to: number) => {
      if (to > at) parts.push({ at, len: to - at, id: 0, size: 0, off: 0, digests: "" })
      at = Math.max(at, to)
    }
    for (const part of file.parts) {
      if (part.at >= end || part.at + part.len <= offset) continue
      hole(part.at)
      const stop = Math.min(end, part.at + part.len)
      parts.push({ ...part, at, len: stop - at, off: part.off + at - part.at })
      at = stop
    }
    hole(end)
    return { size: file.size, parts: parts.slice(0, partsMax), more: parts.length > partsMax }
  }

  /** One sidecar's way to it. */
  commands(faults: Faults = calm, partsMax = 3): Commands {
    const far = <A>(act: Effect.Effect<A, CommandRefused>): Effect.Effect<A, CommandFailed> =>
      Effect.gen(function* () {
        const delay = faults.delayMs()
        if (delay > 0) yield* Effect.sleep(delay)
        if (faults.lost()) return yield* new CommandUnanswered({ why: "the request was lost" })
        const answer = yield* act
        if (delay > 0) yield* Effect.sleep(delay)
        if (faults.lostAnswer()) return yield* new CommandUnanswered({ why: "the answer was lost" })
        return answer
      })
    return {
      reserveSlices: (count) =>
        far(
          Effect.sync(() => {
            const first = this.nextId
            for (let id = first; id < first + count; id++) this.reserved.add(id)
            this.nextId += count
            return { first, count }
          })
        ),
      write: (id, command) => far(this.once(id, () => this.put(command, command.slices))),
      append: (id, command) =>
        far(
          this.once<Appended>(id, () => {
            const offset = this.file(command.ino).size
            const done = this.put(command, placed(command.slices, offset))
            return done instanceof CommandRefused ? done : { ...done, offset }
          })
        ),
      readPlan: (ino, offset, length) => far(Effect.sync(() => this.plan(ino, offset, length, partsMax)))
    }
  }
}

const clear = (file: File, from: number, to: number): void => {
  file.parts = file.parts.flatMap((part) => {
    const end = part.at + part.len
    if (end <= from || part.at >= to) return [part]
    const left = part.at < from ? [{ ...part, len: from - part.at }] : []
    const right = end > to ? [{ ...part, at: to, len: end - to, off: part.off + to - part.at }] : []
    return [...left, ...right]
  })
}

const placed = (slices: ReadonlyArray<Omit<Placement, "pos">>, offset: number): Array<Placement> => {
  const placements: Array<Placement> = []
  let at = offset
  for (const slice of slices) {
    for (let done = 0; done < slice.len; ) {
      const chunk = Math.floor(at / chunkBytes)
      const pos = at - chunk * chunkBytes
      const len = Math.min(slice.len - done, chunkBytes - pos)
      placements.push({ ...slice, chunk, pos, off: slice.off + done, len, keyChunk: slice.chunk })
      done += len
      at += len
    }
  }
  return placements
}
