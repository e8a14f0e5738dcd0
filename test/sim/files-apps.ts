/** Programs on simulated mounts, each with what it was told, and with what it may hold against the files. */
import { Effect } from "effect"
import type { Prng } from "../../adapters/world/prng.ts"
import type { Errno } from "../../runtime/ports/mount.ts"
import { Cells, cellBytes, cellsOf, hole, numberOf } from "./files-cells.ts"
import { Dress } from "./files-dress.ts"
import type { Kernel } from "./files-kernel.ts"
import type { MountHost } from "./files-mount.ts"

const readWrite = 2
const appends = 0o2001
const root = 1

/** What a world asks of its programs. */
export interface App {
  readonly name: string
  readonly mount: MountHost
  /** One thing after another; it can be cut short, and is begun again. */
  readonly work: Effect.Effect<void>
  /** Its host fell: what it had under way has ended somehow. */
  readonly fell: () => void
  /** In the healed world: everything is kept in the end. */
  readonly settle: Effect.Effect<void>
  /** What a reader who knows nothing finds wrong. */
  readonly check: (mount: MountHost) => Effect.Effect<void, Errno>
  readonly faults: Array<string>
}

export interface Around {
  readonly prng: Prng
  readonly steps: number
  /** Where in the file its cells begin, so that they can lie over the edge of a chunk. */
  readonly base: number
  readonly nextValue: () => number
  /** Whether limits could have refused something since a moment. */
  readonly wasLimited: (since: number) => boolean
  readonly now: () => number
  readonly reach: (what: string) => void
}

export interface Failed {
  readonly failed: Errno
}

/** The answer, or the errno in a form that can be told from answers. */
export const tried = <A>(work: Effect.Effect<A, Errno>): Effect.Effect<A | Failed> =>
  Effect.match(work, { onFailure: (failed): A | Failed => ({ failed }), onSuccess: (answer): A | Failed => answer })

export const isFailed = (answer: unknown): answer is Failed =>
  typeof answer === "object" && answer !== null && "failed" in answer

/** Makes the file where it is not there, and gives its number once it is there for good. */
export const made = Effect.fnUntraced(function* (kernel: Kernel, name: string) {
  for (;;) {
    const answer = yield* tried(kernel.ask("create", { node: root, name, mode: 0o100644, flags: readWrite }))
    const node = isFailed(answer) ? 0 : (answer.entry.stat?.ino ?? 0)
    if (node !== 0 && !isFailed(yield* tried(kernel.ask("fsync", { node, handle: 1, dataOnly: false })))) return node
    yield* Effect.sleep(200)
  }
})

/** The same for a directory. */
export const madeFolder = Effect.fnUntraced(function* (kernel: Kernel, name: string) {
  for (;;) {
    yield* tried(kernel.ask("mkdir", { node: root, name, mode: 0o40755 }))
    const found = yield* tried(lookedUp(kernel, name))
    const node = isFailed(found) ? 0 : found
    if (node !== 0 && !isFailed(yield* tried(kernel.ask("fsyncdir", { node, handle: 1, dataOnly: false })))) return node
    yield* Effect.sleep(100)
  }
})

export const bytesOf = (answer: Uint8Array | ReadonlyArray<Uint8Array> | number): Buffer =>
  typeof answer === "number" ? Buffer.alloc(0) : Buffer.concat(answer instanceof Uint8Array ? [answer] : [...answer])

export const lookedUp = Effect.fnUntraced(function* (kernel: Kernel, name: string) {
  const entry = yield* kernel.ask("lookup", { node: root, name })
  return entry.stat?.ino ?? 0
})

/** The size of a file as its host has it. */
export const sizeOf = (kernel: Kernel, node: number) =>
  Effect.map(kernel.ask("getattr", { node }), ({ stat }) => stat.size)

const owner = "00000000000000aa"

/** It alone writes to its file: in cells, over each other, with holes, cuts and copies. */
export class Scribe implements App {
  readonly name: string
  readonly mount: MountHost
  readonly faults: Array<string> = []
  private readonly around: Around
  private readonly cells = new Cells(40)
  private readonly dress = new Dress()
  private left: number
  private ino = 0
  /** The session and the moment of the last flush that said that all is well. */
  private session = 0
  private flushedAt = 0

  constructor(name: string, mount: MountHost, around: Around) {
    this.name = name
    this.mount = mount
    this.around = around
    this.left = around.steps
  }

  private get isLost(): boolean {
    return this.mount.sessions !== this.session || this.around.wasLimited(this.flushedAt)
  }

  private place(cell: number): number {
    return this.around.base + cell * cellBytes
  }

  private readonly alive = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel } = this.mount
    if (this.ino === 0) {
      this.ino = yield* made(kernel, this.name)
      this.session = this.mount.sessions
      this.flushedAt = this.around.now()
    }
    return { kernel, node: this.ino, handle: 1 }
  })

  private range(): { readonly from: number; readonly count: number } {
    const { prng } = this.around
    const count = prng.between(1, 6)
    return { from: prng.below(this.cells.count - count), count }
  }

  private readonly write = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel, node, handle } = yield* this.alive()
    const { from, count } = this.range()
    const value = this.around.nextValue()
    const values = Array.from({ length: count }, () => new Set([value]))
    this.pending = () => this.cells.change(from, values, false)
    this.dress.changed()
    const data = cellsOf(Array.from({ length: count }, () => value))
    const request = {
      node,
      handle,
      offset: this.place(from),
      data,
      flags: readWrite,
      delayed: false,
      clearSetId: false
    }
    const answer = yield* tried(kernel.ask("write", request))
    this.pending = undefined
    this.cells.change(from, values, !isFailed(answer))
    if (isFailed(answer)) this.around.reach(`write ${answer.failed}`)
  })
  /** What to believe when the host falls while something is under way. */
  private pending: (() => void) | undefined

  private readonly read = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel, node, handle } = yield* this.alive()
    const request = { node, handle, offset: this.around.base, size: this.cells.count * cellBytes, flags: readWrite }
    const answer = yield* tried(kernel.ask("read", request))
    if (isFailed(answer)) return this.around.reach(`read ${answer.failed}`)
    const fault = this.cells.fault(bytesOf(answer), this.isLost)
    if (fault !== undefined) this.faults.push(`${this.name} at ${this.around.now()}: ${fault}`)
  })

  /** By fsync, or by closing the file. */
  private readonly flush = Effect.fnUntraced(function* (this: Scribe, isClose: boolean) {
    const { kernel, node, handle } = yield* this.alive()
    const { sessions } = this.mount
    const startedAt = this.around.now()
    const work = isClose
      ? kernel.ask("flush", { node, handle, owner })
      : kernel.ask("fsync", { node, handle, dataOnly: false })
    const answer = yield* tried(work)
    if (isFailed(answer)) {
      this.around.reach(`flush ${answer.failed}`)
      this.cells.doubted()
      this.dress.doubted()
    } else {
      this.cells.flushed()
      this.dress.kept()
      // One that was asked across two sessions was answered in the second one, behind what was lost.
      this.session = sessions
      this.flushedAt = startedAt
    }
    return !isFailed(answer)
  })

  /** A change of a range that the actor makes: holes, cuts, copies. */
  private readonly region = Effect.fnUntraced(function* (
    this: Scribe,
    from: number,
    values: ReadonlyArray<ReadonlySet<number>>,
    work: Effect.Effect<unknown, Errno>
  ) {
    this.pending = () => this.cells.change(from, values, false)
    this.dress.changed()
    const answer = yield* tried(work)
    this.pending = undefined
    this.cells.change(from, values, !isFailed(answer))
    if (isFailed(answer)) this.around.reach(`change ${answer.failed}`)
  })

  private readonly punch = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel, node } = yield* this.alive()
    const { from, count } = this.range()
    const values = Array.from({ length: count }, () => new Set([hole]))
    const request = { node, offset: this.place(from), length: count * cellBytes, mode: 3 }
    yield* this.region(from, values, kernel.ask("fallocate", request))
  })

  private readonly truncate = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel, node } = yield* this.alive()
    const from = this.around.prng.below(this.cells.count)
    const values = Array.from({ length: this.cells.count - from }, () => new Set([hole]))
    yield* this.region(from, values, kernel.ask("setattr", { node, size: this.place(from), clearSetId: false }))
  })

  /** From a part that is written whole, so that the end of the file cuts nothing off. */
  private readonly copy = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel, node, handle } = yield* this.alive()
    const size = yield* tried(sizeOf(kernel, node))
    const count = this.around.prng.between(1, 5)
    const from = this.around.prng.below(this.cells.count - count)
    const to = this.around.prng.below(this.cells.count - count)
    const overlap = from < to + count && to < from + count
    if (isFailed(size) || overlap || this.isLost || size < this.place(from + count)) return
    const values = Array.from({ length: count }, (_, index) => this.cells.now(from + index))
    const request = { node, handle, toNode: node, toHandle: handle, length: count * cellBytes }
    yield* this.region(
      to,
      values,
      kernel.ask("copy", { ...request, offset: this.place(from), toOffset: this.place(to) })
    )
  })

  /** Rights and times; nobody waits for the bytes that were written before. */
  private readonly set = Effect.fnUntraced(function* (this: Scribe) {
    const { kernel, node } = yield* this.alive()
    const mode = 0o600 + this.around.prng.below(64)
    const s = 1_000 + this.around.prng.below(1_000)
    this.pending = () => this.dress.set(mode, s, false)
    const answer = yield* tried(kernel.ask("setattr", { node, mode, mtime: { s, ns: 7 }, clearSetId: false }))
    this.pending = undefined
    this.dress.set(mode, s, !isFailed(answer))
    const shown = isFailed(answer) ? answer : yield* tried(kernel.ask("getattr", { node }))
    if (isFailed(shown)) return this.around.reach(`set ${shown.failed}`)
    const fault = this.isLost ? undefined : this.dress.fault(shown.stat)
    if (fault !== undefined) this.faults.push(`${this.name} at ${this.around.now()}: ${fault}`)
  })

  private step(): Effect.Effect<unknown> {
    const dice = this.around.prng.next()
    if (dice < 0.42) return this.write()
    if (dice < 0.5) return this.set()
    if (dice < 0.65) return this.read()
    if (dice < 0.8) return this.flush(dice < 0.72)
    if (dice < 0.87) return this.punch()
    if (dice < 0.93) return this.truncate()
    return this.copy()
  }

  readonly work: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    for (; this.left > 0; this.left--) {
      yield* this.step()
      yield* Effect.sleep(this.around.prng.chance(0.4) ? 0 : this.around.prng.below(700))
    }
  })

  fell(): void {
    this.pending?.()
    this.pending = undefined
    this.cells.doubted()
    this.dress.doubted()
    this.session = this.mount.sessions + 1
  }

  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    // The first one may have to tell of what was lost before.
    if ((yield* this.flush(false)) || (yield* this.flush(false))) return
    this.faults.push(`${this.name} cannot be flushed in a healed world`)
  })

  readonly check = Effect.fnUntraced(function* (this: Scribe, mount: MountHost) {
    const node = yield* lookedUp(mount.kernel, this.name)
    const request = { node, handle: 9, offset: this.around.base, size: this.cells.count * cellBytes, flags: 0 }
    const bytes = bytesOf(yield* mount.kernel.ask("read", request))
    const fault = this.cells.fault(bytes, false)
    if (fault !== undefined) this.faults.push(`${this.name}, read on ${mount.name}: ${fault}`)
    this.cells.learn(bytes)
    const worn = this.isLost ? undefined : this.dress.fault((yield* mount.kernel.ask("getattr", { node })).stat)
    if (worn !== undefined) this.faults.push(`${this.name}, looked at on ${mount.name}: ${worn}`)
  })
}

type Standing = "accepted" | "kept" | "doubtful"

/** It appends records to a file that others append to as well. */
export class Appender implements App {
  readonly name: string
  readonly mount: MountHost
  readonly faults: Array<string> = []
  private readonly around: Around
  private readonly file: string
  private readonly records = new Map<number, Standing>()
  private left: number
  private ino = 0

  constructor(name: string, mount: MountHost, file: string, around: Around) {
    this.name = name
    this.mount = mount
    this.file = file
    this.around = around
    this.left = around.steps
  }

  private mark(standing: Standing): void {
    for (const [value, before] of this.records) if (before === "accepted") this.records.set(value, standing)
  }

  private readonly append = Effect.fnUntraced(function* (this: Appender) {
    const { kernel } = this.mount
    if (this.ino === 0) this.ino = yield* made(kernel, this.file)
    const size = yield* tried(sizeOf(kernel, this.ino))
    if (isFailed(size)) return
    const value = this.around.nextValue()
    this.records.set(value, "doubtful")
    const data = cellsOf([value])
    const request = { node: this.ino, handle: 2, offset: size, data, flags: appends, delayed: false, clearSetId: false }
    const answer = yield* tried(kernel.ask("write", request))
    if (!isFailed(answer)) this.records.set(value, "accepted")
  })

  private readonly flush = Effect.fnUntraced(function* (this: Appender) {
    if (this.ino === 0) return true
    const answer = yield* tried(this.mount.kernel.ask("fsync", { node: this.ino, handle: 2, dataOnly: false }))
    this.mark(isFailed(answer) ? "doubtful" : "kept")
    return !isFailed(answer)
  })

  readonly work: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    for (; this.left > 0; this.left--) {
      yield* this.append()
      if (this.around.prng.chance(0.3)) yield* this.flush()
      yield* Effect.sleep(this.around.prng.chance(0.4) ? 0 : this.around.prng.below(700))
    }
  })

  fell(): void {
    this.mark("doubtful")
  }

  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    if ((yield* this.flush()) || (yield* this.flush())) return
    this.faults.push(`${this.name} cannot be flushed in a healed world`)
  })

  readonly check = Effect.fnUntraced(function* (this: Appender, mount: MountHost) {
    const node = yield* lookedUp(mount.kernel, this.file)
    const size = node === 0 ? 0 : yield* sizeOf(mount.kernel, node)
    const bytes = size === 0 ? Buffer.alloc(0) : bytesOf(yield* mount.kernel.ask("read", { ...all(node, size) }))
    const found = Array.from({ length: Math.ceil(bytes.length / cellBytes) }, (_, at) => numberOf(bytes, at))
    const where = `${this.name}, read on ${mount.name}`
    if (found.includes(-1) || size % cellBytes !== 0) this.faults.push(`${where}: a record is torn`)
    const own = found.filter((value) => this.records.has(value))
    if (new Set(own).size !== own.length) this.faults.push(`${where}: a record is there twice: ${own.join(" ")}`)
    const kept = [...this.records].filter(([, standing]) => standing === "kept").map(([value]) => value)
    const missing = kept.filter((value) => !own.includes(value))
    if (missing.length > 0) this.faults.push(`${where}: ${missing.join(" ")} were said to be kept`)
    const order = own.filter((value) => kept.includes(value))
    if (order.join() !== kept.filter((value) => own.includes(value)).join())
      this.faults.push(`${where}: ${order.join(" ")} are not in their order`)
  })
}

const all = (node: number, size: number) => ({ node, handle: 9, offset: 0, size, flags: 0 })
