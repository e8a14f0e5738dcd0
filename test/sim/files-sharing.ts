/** Programs on simulated mounts that share names and locks with others. */
import { Effect } from "effect"
import type { LockRange } from "../../runtime/ports/mount.ts"
import { type App, type Around, bytesOf, isFailed, lookedUp, made, madeFolder, tried } from "./files-apps.ts"
import { cellBytes, cellOf, numberOf } from "./files-cells.ts"
import type { MountHost } from "./files-mount.ts"

const readWrite = 2
/** Within this a network that duplicates messages has brought both. */
const secondMs = 50
const everything = { start: 0, end: Number.MAX_SAFE_INTEGER }

/** One time that a program held the lock, and the number that it raised, where it was told that it did. */
export interface Held {
  readonly by: string
  readonly from: number
  readonly to: number
  readonly raised: number | undefined
}

/** The file, who locks it and how, and when somebody last may have written to it without the lock. */
export interface Counted {
  readonly file: string
  readonly owner: string
  readonly flock: boolean
  readonly lapses: { at: number }
}

/** Raises a number in a file under a lock: no two may ever be told that they raised it to the same. */
export class Counter implements App {
  readonly name: string
  readonly mount: MountHost
  readonly faults: Array<string> = []
  readonly held: Array<Held> = []
  private readonly around: Around
  private readonly file: string
  private readonly owner: string
  private readonly flock: boolean
  readonly lapses: Counted["lapses"]
  private left: number
  private ino = 0

  constructor(name: string, mount: MountHost, what: Counted, around: Around) {
    this.lapses = what.lapses
    this.name = name
    this.mount = mount
    this.file = what.file
    this.owner = what.owner
    this.flock = what.flock
    this.around = around
    this.left = Math.ceil(around.steps / 3)
  }

  private lock(patienceMs: number) {
    return this.mount.kernel.askWithin("setlk", { ...this.range("write"), wait: true }, patienceMs)
  }

  private unlock() {
    return this.mount.kernel.ask("setlk", { ...this.range("unlock"), wait: false })
  }

  private range(type: LockRange["type"]) {
    return { node: this.ino, owner: this.owner, flock: this.flock, type, ...everything, holder: 1 }
  }

  /** Under the lock: gives the new number when it is certain that it is kept. */
  private readonly raise = Effect.fnUntraced(function* (this: Counter) {
    const { kernel } = this.mount
    const place = { node: this.ino, handle: 3, offset: 0, flags: readWrite }
    const found = yield* kernel.ask("read", { ...place, size: cellBytes })
    const next = numberOf(bytesOf(found), 0) + 1
    yield* Effect.sleep(this.around.prng.below(300))
    yield* kernel.ask("write", { ...place, data: cellOf(next), delayed: false, clearSetId: false })
    yield* kernel.ask("fsync", { node: this.ino, handle: 3, dataOnly: false })
    return next
  })

  private readonly turn = Effect.fnUntraced(function* (this: Counter) {
    if (this.ino === 0) this.ino = yield* made(this.mount.kernel, this.file)
    // Some give up waiting, as a process does that has a signal.
    const patience = this.around.prng.chance(0.3) ? this.around.prng.below(2_000) : 200_000
    const locked = yield* tried(this.lock(patience))
    if (isFailed(locked)) return this.around.reach("lock not had")
    const from = this.around.now()
    const { sessions } = this.mount
    const raised = yield* tried(this.raise())
    const to = this.around.now()
    // What is written when the session is over is written without the lock: nothing from before is certain then.
    if (sessions !== this.mount.sessions) this.lapses.at = to
    this.held.push({ by: this.name, from, to, raised: isFailed(raised) ? undefined : raised })
    if (isFailed(raised)) this.around.reach(`raise ${raised.failed}`)
    // What could not be kept so far keeps the lock as well.
    for (;;) {
      const unlocked = yield* tried(this.unlock())
      if (!isFailed(unlocked)) return
      this.around.reach(`unlock ${unlocked.failed}`)
      yield* Effect.sleep(200)
    }
  })

  readonly work: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    for (; this.left > 0; this.left--) {
      yield* this.turn()
      yield* Effect.sleep(this.around.prng.below(500))
    }
  })

  fell(): void {}

  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    if (this.ino !== 0) yield* tried(this.unlock())
  })

  readonly check = Effect.fnUntraced(function* (this: Counter, mount: MountHost) {
    const node = yield* lookedUp(mount.kernel, this.file)
    if (node === 0) return
    const bytes = bytesOf(yield* mount.kernel.ask("read", { node, handle: 9, offset: 0, size: cellBytes, flags: 0 }))
    const last = numberOf(bytes, 0)
    for (const { raised, to } of this.held)
      if (raised !== undefined && raised > last && to > this.lapses.at)
        this.faults.push(`${this.name} raised the number to ${raised}, and ${mount.name} reads ${last}`)
  })
}

/** No number was raised to twice; `numbers` are those of all programs that share the file. */
export const raisedTwice = (counters: ReadonlyArray<Counter>): string | undefined => {
  const by = new Map<number, Held>()
  const since = counters[0]?.lapses.at ?? 0
  for (const one of counters.flatMap(({ held }) => held).toSorted((a, b) => a.to - b.to)) {
    if (one.raised === undefined || one.to <= since) continue
    const before = by.get(one.raised)
    const when = ({ by, from, to }: Held) => `${by} (${from} to ${to})`
    if (before !== undefined) return `${when(before)} and ${when(one)} both raised the number to ${one.raised}`
    by.set(one.raised, one)
  }
  return undefined
}

type Presence = "there" | "not there" | "unknown"

/** Makes and removes names in a directory of its own, and holds files open that it has removed. */
export class Namer implements App {
  readonly name: string
  readonly mount: MountHost
  readonly faults: Array<string> = []
  private readonly around: Around
  private readonly names = new Map<string, Presence>()
  private left: number
  private folder = 0

  constructor(name: string, mount: MountHost, around: Around) {
    this.name = name
    this.mount = mount
    this.around = around
    this.left = around.steps
  }

  private readonly begin = Effect.fnUntraced(function* (this: Namer) {
    if (this.folder === 0) this.folder = yield* madeFolder(this.mount.kernel, this.name)
  })

  /** Made, removed or renamed in a session, and not kept yet: with that session or its host it may be undone. */
  private readonly loose = new Map<string, number>()

  private standing(name: string): Presence {
    const session = this.loose.get(name)
    if (session !== undefined && session !== this.mount.sessions) this.doubt(name)
    return this.names.get(name) ?? "not there"
  }

  private doubt(name: string): void {
    this.loose.delete(name)
    this.names.set(name, "unknown")
  }

  /** Whatever the workspace has answered for since a name was changed, it has the change. */
  private kept(session: number): void {
    for (const [name, madeIn] of this.loose) if (madeIn === session) this.loose.delete(name)
  }

  /**
   * Says what was answered against what was known. A request that two sessions got may have been done in the first.
   */
  private judge(name: string, wanted: Presence, answer: unknown, session: number): void {
    const before = this.standing(name)
    const isCertain = session === this.mount.sessions
    if (!isFailed(answer)) {
      this.names.set(name, wanted)
      if (isCertain && before === wanted) this.faults.push(`${this.name}: ${name} was ${before} and became so again`)
      return
    }
    this.around.reach(`name ${answer.failed}`)
    const contradicts = wanted === "there" ? "EEXIST" : "ENOENT"
    if (answer.failed !== contradicts) {
      // It was refused for another reason, or nobody knows.
      if (answer.failed !== "ENOSPC") this.names.set(name, "unknown")
      return
    }
    if (isCertain && before !== "unknown" && before !== wanted)
      this.faults.push(`${this.name}: ${name} is ${before}, and was answered ${answer.failed}`)
    this.names.set(name, wanted)
  }

  private readonly make = Effect.fnUntraced(function* (this: Namer, name: string) {
    const session = this.mount.sessions
    const before = this.standing(name)
    this.names.set(name, "unknown")
    const request = { node: this.folder, name, mode: 0o100644, flags: readWrite | 0o300 }
    const answer = yield* tried(this.mount.kernel.ask("create", request))
    this.names.set(name, before)
    this.judge(name, "there", answer, session)
    if (isFailed(answer)) return
    this.loose.set(name, session)
    const node = answer.entry.stat?.ino ?? 0
    const handle = answer.opened.handle ?? 0
    const data = cellOf(this.around.nextValue())
    const writing = { node, handle, offset: 0, data, flags: readWrite, delayed: false, clearSetId: false }
    yield* tried(this.mount.kernel.ask("write", writing))
    if (this.around.prng.chance(0.5)) yield* this.close(node, handle)
    else yield* this.orphan(name, node, handle, data)
  })

  private readonly close = Effect.fnUntraced(function* (this: Namer, node: number, handle: number) {
    const { kernel } = this.mount
    yield* tried(kernel.ask("flush", { node, handle, owner: "00000000000000bb" }))
    const released = { node, handle, flags: readWrite, owner: "00000000000000bb", flock: false }
    yield* tried(kernel.ask("release", released))
  })

  /** What has lost its name while it is open can be read until it is closed. */
  private readonly orphan = Effect.fnUntraced(function* (
    this: Namer,
    name: string,
    node: number,
    handle: number,
    data: Uint8Array
  ) {
    const { kernel, sessions } = this.mount
    const startedAt = this.around.now()
    yield* this.remove(name)
    yield* Effect.sleep(this.around.prng.below(1_500))
    const answer = yield* tried(kernel.ask("read", { node, handle, offset: 0, size: cellBytes, flags: readWrite }))
    const isSame = this.mount.sessions === sessions && !this.around.wasLimited(startedAt)
    const isThere = !isFailed(answer) && bytesOf(answer).equals(data)
    const isAway = isFailed(answer) && answer.failed === "EIO"
    if (isSame && !isThere && !isAway && this.standing(name) === "not there")
      this.faults.push(`${this.name}: ${name} (${node}) lost its name and its bytes while it was open`)
    this.around.reach(isThere ? "read without a name" : "not read without a name")
    yield* this.close(node, handle)
  })

  private readonly remove = Effect.fnUntraced(function* (this: Namer, name: string) {
    const session = this.mount.sessions
    const before = this.standing(name)
    this.names.set(name, "unknown")
    const answer = yield* tried(this.mount.kernel.ask("unlink", { node: this.folder, name }))
    this.names.set(name, before)
    this.judge(name, "not there", answer, session)
    if (!isFailed(answer)) this.loose.set(name, session)
    // What was refused is decided afresh when the network brings it a second time.
    if (isFailed(answer)) yield* Effect.sleep(secondMs)
  })

  private readonly rename = Effect.fnUntraced(function* (this: Namer, name: string, toName: string) {
    const { sessions } = this.mount
    const [from, to] = [this.standing(name), this.standing(toName)]
    if (from !== "there" || name === toName) return
    this.names.set(name, "unknown")
    this.names.set(toName, "unknown")
    const request = { node: this.folder, name, toNode: this.folder, toName, how: "replace" } as const
    const answer = yield* tried(this.mount.kernel.ask("rename", request))
    if (!isFailed(answer)) {
      this.names.set(name, "not there")
      this.names.set(toName, "there")
      for (const one of [name, toName]) this.loose.set(one, sessions)
    } else if (answer.failed === "ENOENT" && sessions === this.mount.sessions)
      this.faults.push(`${this.name}: ${name} was there, and ${toName} ${to}; renamed it was answered ENOENT`)
  })

  private readonly look = Effect.fnUntraced(function* (this: Namer, name: string) {
    const found = yield* tried(this.mount.kernel.ask("lookup", { node: this.folder, name }))
    if (isFailed(found) && found.failed !== "ENOENT") return
    const isThere = !isFailed(found) && found.stat !== undefined
    const standing = this.standing(name)
    if (standing !== "unknown" && isThere !== (standing === "there"))
      this.faults.push(`${this.name} at ${this.around.now()}: ${name} is ${standing}, and is looked up otherwise`)
  })

  readonly work: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    yield* this.begin()
    const { prng } = this.around
    for (; this.left > 0; this.left--) {
      const name = `n${prng.below(4)}`
      const dice = prng.next()
      if (dice < 0.4) yield* this.make(name)
      else if (dice < 0.6) yield* this.remove(name)
      else if (dice < 0.8) yield* this.rename(name, `n${prng.below(4)}`)
      else yield* this.look(name)
      yield* Effect.sleep(prng.chance(0.4) ? 0 : prng.below(700))
    }
  })

  fell(): void {
    for (const name of this.loose.keys()) this.doubt(name)
  }

  /** Those that were lost are said to be once; what is said to be there then is. */
  readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    if (this.folder === 0) return
    const session = this.mount.sessions
    const answer = yield* tried(this.mount.kernel.ask("fsyncdir", { node: this.folder, handle: 1, dataOnly: false }))
    if (!isFailed(answer)) return this.kept(session)
    for (const name of this.loose.keys()) this.doubt(name)
  })

  readonly check = Effect.fnUntraced(function* (this: Namer, mount: MountHost) {
    if (this.folder === 0) return
    const listed = yield* mount.kernel.ask("readdir", {
      node: this.folder,
      handle: 9,
      offset: 0,
      size: 65_536,
      plus: true
    })
    const found = new Set(Array.from(listed, ({ name }) => name))
    for (const name of this.names.keys()) {
      const standing = this.standing(name)
      if (standing !== "unknown" && found.has(name) !== (standing === "there"))
        this.faults.push(`${this.name}: ${name} is ${standing}, and ${mount.name} lists it otherwise`)
    }
  })
}
