/** Random changes of a workspace, held against a naive model: names, bytes, counts, times, and what becomes garbage. */
import { Arbitrary, Effect } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { save } from "../../actors/workspace/snapshot/save.ts"
import { initial } from "../../actors/workspace/tree/tree.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import { chunkBytes } from "../../messages/chunks.ts"
import type { Part } from "../../messages/slices.ts"
import { workspace } from "../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { Desk, digestsOf, root } from "../unit/workspace.ts"
import { dump } from "./workspace.dump.ts"
import { byteOf, Model, type Node, type Time } from "./workspace.model.ts"
import { savedMeanwhile } from "./workspace.saving.ts"

const names = ["a", "b", "c", "\udcff\udc80", "né"]
const sessions = ["s1", "s2", "s3"]
/** Where things happen in files: at the start, about the edges of chunks, far out. */
const places = [0, 3, 8, 15, chunkBytes - 6, chunkBytes, chunkBytes + 5, 3 * chunkBytes - 2]
const kinds = [
  ...[
    "Create",
    "Create",
    "Create",
    "Mkdir",
    "Mkdir",
    "Symlink",
    "Link",
    "Unlink",
    "Unlink",
    "Rmdir",
    "Rename",
    "Rename"
  ],
  ...["Write", "Write", "Write", "Write", "Append", "Append", "Truncate", "CopyRange", "CopyRange", "Fallocate"],
  ...["SetAttr", "Open", "Release", "BeginSession", "EndSession", "Tick", "Collect", "SetXattr", "RemoveXattr"]
] as const

const step = fc.record({
  kind: fc.constantFrom(...kinds),
  ino: fc.nat(15),
  other: fc.nat(15),
  name: fc.constantFrom(...names),
  toName: fc.constantFrom(...names),
  place: fc.constantFrom(...places),
  toPlace: fc.constantFrom(...places),
  length: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(chunkBytes + 3)),
  flag: fc.constantFrom("noreplace" as const, "exchange" as const, undefined),
  how: fc.constantFrom("extend" as const, "keep" as const, "punch" as const, "zero" as const, "zero-keep" as const),
  caller: fc.constantFrom("admin", ...sessions),
  open: fc.boolean(),
  later: fc.nat(40_000)
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

class Run {
  readonly desk = new Desk()
  readonly model = new Model()
  readonly written = new Set<number>()
  readonly collected = new Set<number>()
  readonly counts = new Map<string, number>()
  time: Time = [0, 0]

  constructor() {
    for (const session of sessions) this.begin(session)
  }

  begin(session: string) {
    this.desk.do({ _tag: "BeginSession", session, mode: "rw", host: "h" } as never, "outbox")
    this.model.sessions.add(session)
  }

  /** An inode that there is, most of the time. */
  pick(index: number): number {
    const inos = [...this.model.nodes.keys()]
    return inos[index % (inos.length + 1)] ?? 999
  }

  /** A file, where there is one. */
  file(index: number): number {
    const files = [...this.model.nodes.values()].filter((node) => node.type === "file")
    return index === 15 ? this.pick(index) : (files[index % files.length]?.ino ?? 1)
  }

  directory(index: number): number {
    const lists = [...this.model.nodes.values()].filter((node) => node.type === "directory")
    return index === 15 ? this.pick(index) : (lists[index % lists.length]?.ino ?? 1)
  }

  /** Ids for whoever writes: reserved just before. */
  reserve(caller: string): number {
    return this.desk.do({ _tag: "ReserveSlices", count: 2 }, caller).first
  }

  take(one: Step) {
    const { desk, model } = this
    desk.at += one.later
    this.time = [Math.floor(desk.at / 1000), desk.at % 1000]
    const caller = model.sessions.has(one.caller) ? one.caller : "admin"
    const expected = this.expect(one, caller)
    if (expected === undefined) return
    const [{ caller: other, ...command }, errno] = expected
    const actual = command._tag === "Tick" ? undefined : desk.fault(command as never, other ?? caller)
    if (command._tag === "Tick") desk.tick()
    this.counts.set(`${command._tag} ${actual}`, (this.counts.get(`${command._tag} ${actual}`) ?? 0) + 1)
    expect(actual, JSON.stringify(command)).toBe(errno)
  }

  /** The command, and with what it should be refused; the model has changed already. */
  expect(one: Step, caller: string): readonly [{ _tag: string; caller?: string }, string | undefined] | undefined {
    const { model, time, desk } = this
    const change = { who: root, time }
    const how = { open: one.open, caller, at: desk.at, time }
    const parent = this.directory(one.ino)
    const toParent = this.directory(one.other)
    const { name, toName } = one
    switch (one.kind) {
      case "Create": {
        const command = { _tag: "Create", parent, name, mode: 0o644, exclusive: true, ...change }
        return [command, model.add("file", parent, name, { mode: 0o644, time })]
      }
      case "Mkdir": {
        const command = { _tag: "Mkdir", parent, name, mode: 0o755, ...change }
        return [command, model.add("directory", parent, name, { mode: 0o755, time })]
      }
      case "Symlink": {
        const command = { _tag: "Symlink", parent, name, target: "to/é", ...change }
        return [command, model.add("symlink", parent, name, { mode: 0o777, time, target: "to/é" })]
      }
      case "Link": {
        const ino = this.pick(one.other)
        return [{ _tag: "Link", ino, parent, name, ...change } as never, model.link(ino, parent, name, time)]
      }
      case "Unlink":
      case "Rmdir": {
        const command = { _tag: one.kind, parent, name, open: one.open, ...change }
        return [command, model.remove(one.kind === "Rmdir", parent, name, how)]
      }
      case "Rename": {
        const flag = one.flag === undefined ? {} : { flag: one.flag }
        const command = { _tag: "Rename", parent, name, toParent, toName, open: one.open, ...flag, ...change }
        return [command, model.rename([parent, name], [toParent, toName], one.flag, how)]
      }
      default:
        return this.expectBytes(one, caller) ?? this.expectRest(one, caller)
    }
  }

  expectBytes(one: Step, caller: string): readonly [{ _tag: string }, string | undefined] | undefined {
    const { model, time } = this
    const change = { who: root, time }
    const ino = this.file(one.ino)
    const offset = one.place
    const length = one.length
    switch (one.kind) {
      case "Write":
        return this.write(one, ino, caller)
      case "Append": {
        const id = this.reserve(caller)
        const size = 12
        const len = Math.min(length, 9) + 1
        const slice = { chunk: 0, id, size, off: 1, len, digests: digestsOf(size) }
        const hole = { chunk: 0, id: 0, size: 0, off: 0, len: 2, digests: "" }
        const node = model.file(ino)
        const end = typeof node === "string" ? 0 : node.size
        const errno = model.write(ino, end, { id, off: 1, len }, time)
        if (errno === undefined) {
          this.written.add(id)
          model.write(ino, end + len, { id: 0, off: 0, len: 2 }, time)
        }
        return [{ _tag: "Append", ino, slices: [slice, hole], ...change } as never, errno]
      }
      case "Truncate":
        return [
          { _tag: "Truncate", ino, size: offset + (length % 7), ...change } as never,
          model.truncate(ino, offset + (length % 7), time)
        ]
      case "CopyRange": {
        const to = { ino: this.file(one.other), position: one.toPlace, length }
        const command = { _tag: "CopyRange", from: ino, offset, length, ino: to.ino, to: to.position, ...change }
        return [command, model.copy(ino, offset, to, time)]
      }
      case "Fallocate":
        return [
          { _tag: "Fallocate", ino, offset, length, how: one.how, ...change } as never,
          model.allocate(ino, one.how, { offset, length }, time)
        ]
      default:
        return undefined
    }
  }

  /** Two slices, the second over a part of the first. */
  write(one: Step, ino: number, caller: string): readonly [{ _tag: string }, string | undefined] {
    const { model, time } = this
    const id = this.reserve(caller)
    const first = { off: 2, len: Math.min(one.length, 18) + 1, size: 30 }
    const chunk = Math.floor(one.place / chunkBytes)
    const pos = one.place % chunkBytes
    const len = Math.min(first.len, chunkBytes - pos)
    const slices = [{ chunk, pos, id, ...first, len, digests: digestsOf(30) }]
    const errno = model.write(ino, one.place, { id, off: 2, len }, time)
    if (errno === undefined) this.written.add(id)
    if (one.open) {
      const second = { off: 0, len: Math.min(4, len), size: 4 }
      slices.push({ chunk, pos, id: id + 1, ...second, digests: digestsOf(4) })
      if (errno === undefined) {
        this.written.add(id + 1)
        model.write(ino, one.place, { id: id + 1, ...second }, time)
      }
    }
    return [{ _tag: "Write", ino, slices, who: root, time } as never, errno]
  }

  expectRest(one: Step, caller: string): readonly [{ _tag: string; caller?: string }, string | undefined] | undefined {
    const { model, desk, time } = this
    const ino = this.pick(one.ino)
    const node: Node | undefined = model.nodes.get(ino)
    const change = { who: root, time }
    switch (one.kind) {
      case "SetAttr": {
        if (node !== undefined) Object.assign(node, { mode: 0o600, uid: 7, ctime: time })
        return [{ _tag: "SetAttr", ino, mode: 0o600, uid: 7, ...change } as never, node ? undefined : "ENOENT"]
      }
      case "SetXattr":
        if (node !== undefined) node.ctime = time
        return [
          { _tag: "SetXattr", ino, name: one.name, value: "AAE=", ...change } as never,
          node ? undefined : "ENOENT"
        ]
      case "Open":
        if (node?.nlink === 0 && model.sessions.has(caller)) node.holders.add(caller)
        return [{ _tag: "Open", ino } as never, node ? undefined : "ENOENT"]
      case "Release":
        model.letGo(ino, caller, desk.at)
        return [{ _tag: "Release", ino } as never, undefined]
      case "Tick":
        model.reap(desk.at)
        return [{ _tag: "Tick" }, undefined]
      case "BeginSession":
        model.sessions.add(one.caller === "admin" ? "s4" : one.caller)
        return [
          {
            _tag: "BeginSession",
            session: one.caller === "admin" ? "s4" : one.caller,
            mode: "rw",
            caller: "outbox"
          } as never,
          undefined
        ]
      case "EndSession":
        model.end(one.caller, desk.at)
        return [{ _tag: "EndSession", session: one.caller, caller: "outbox" } as never, undefined]
      case "Collect": {
        const garbage = desk.show({ _tag: "Garbage", limit: 1 + (one.ino % 3) }).garbage
        for (const { id, size } of garbage) if (size >= 0) this.collected.add(id)
        desk.do({ _tag: "Collect", sequences: garbage.map((each: { sequence: number }) => each.sequence) })
        return undefined
      }
      default:
        return undefined
    }
  }

  /** Everything that can be asked, held against the model. */
  compare() {
    const { desk, model } = this
    expect(desk.tree.inodes.live).toBe(model.nodes.size)
    for (const node of model.nodes.values()) {
      const { attributes } = desk.show({ _tag: "Attributes", ino: node.ino })
      const { type, nlink, mode, uid, gid, size, mtime, ctime } = node
      expect(attributes).toMatchObject({ type, nlink, mode, uid, gid, size, mtime, ctime, used: node.bytes.size })
      if (type === "directory") this.compareNames(node)
      if (type === "file") this.compareBytes(node)
      if (type === "symlink") expect(desk.show({ _tag: "LinkTarget", ino: node.ino }).target).toBe(node.target)
    }
    this.compareGarbage()
  }

  compareNames(node: Node) {
    const found: Array<[string, number]> = []
    let after = 0
    for (;;) {
      const page = this.desk.show({ _tag: "ReadDir", ino: node.ino, after, limit: 2 })
      for (const { name, cursor, attributes } of page.entries) {
        found.push([name, attributes.ino])
        expect(cursor).toBeGreaterThan(after)
        after = cursor
        expect(this.desk.show({ _tag: "Lookup", parent: node.ino, name }).attributes).toEqual(attributes)
      }
      if (node.nlink > 0) expect(page.parent).toBe(node.parent?.ino)
      if (page.end) break
    }
    const sort = (list: Array<[string, number]>) => list.sort(([a], [b]) => (a < b ? -1 : 1))
    expect(sort(found)).toEqual(sort([...node.entries].map(([name, { ino }]) => [name, ino])))
  }

  compareBytes(node: Node) {
    const plan = this.desk.show({ _tag: "ReadPlan", ino: node.ino, offset: 0, length: Number.MAX_SAFE_INTEGER })
    expect(plan.more).toBe(false)
    let at = 0
    let stored = 0
    for (const part of plan.parts as ReadonlyArray<Part>) {
      expect(part.at).toBe(at)
      at += part.len
      if (part.id === 0) continue
      stored += part.len
      if (part.at % chunkBytes > (part.at + part.len - 1) % chunkBytes) throw new Error("a part crosses a chunk's edge")
      for (let byte = 0; byte < part.len; byte++)
        expect(node.bytes.get(part.at + byte)).toBe(byteOf(part.id, part.off + byte))
    }
    expect(at).toBe(node.size)
    expect(stored).toBe(node.bytes.size)
  }

  /** A slice that was written is in a file, or in the queue, or collected: in exactly one of them. */
  compareGarbage() {
    const { slices } = this.desk.tree
    const used = [...slices.id.subarray(0, slices.top)].filter((id) => id !== 0)
    const queued = [...this.desk.tree.garbage.list(-1, 1e9)].filter(({ size }) => size >= 0).map(({ id }) => id)
    const all = [...used, ...queued, ...this.collected].sort((a, b) => a - b)
    expect(all).toEqual([...this.written].sort((a, b) => a - b))
  }
}

const anyEvent = Arbitrary.schema(workspace.event)

describe("a workspace", () => {
  it("folds whatever an event may say, without a throw and the same again", { timeout: 60_000 }, async () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31))
    const events = await Effect.runPromise(Arbitrary.sampleEffect(anyEvent, { count: 3000, seed }))
    /** Numbers made small, so that events meet. */
    const near = (value: unknown): unknown => {
      if (typeof value === "number") return value > 40 ? value % 7 : value
      if (Array.isArray(value)) return value.map(near)
      if (typeof value !== "object" || value === null) return value
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, near(each)]))
    }
    const small = events.map((event) => near(event) as WorkspaceEvent)
    for (const list of [events, small]) {
      const fold = () => list.reduce((tree, event, at) => workspaceDecider.evolve(tree, event, at), initial("acme_1"))
      const tree = fold()
      expect(dump(fold()), `seed ${seed}`).toEqual(dump(tree))
      expect(dump(load(save(tree), "acme_1")), `seed ${seed}`).toEqual(dump(tree))
    }
  })

  it("decides without changing anything", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), (steps) => {
        const run = new Run()
        run.desk.watch = (tree) => JSON.stringify(dump(tree))
        for (const one of steps) run.take(one)
      }),
      { numRuns: 25 }
    )
  })

  it("does as a naive model of it; its events and its snapshots say all of it", { timeout: 60_000 }, () => {
    const counts = new Map<string, number>()
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 150, size: "max" }), (steps) => {
        const run = new Run()
        for (const one of steps) {
          run.take(one)
          run.desk.checkDue()
        }
        run.compare()
        const state = dump(run.desk.tree)
        const folded = run.desk.log.reduce(
          (tree, { event, at }) => workspaceDecider.evolve(tree, event, at),
          initial("acme_1")
        )
        expect(dump(folded)).toEqual(state)
        expect(dump(load(save(run.desk.tree), "acme_1"))).toEqual(state)
        const { then, saved } = savedMeanwhile(run.desk.log, Math.floor(run.desk.log.length / 2))
        expect(saved).toEqual(then)
        for (const [what, count] of run.counts) counts.set(what, (counts.get(what) ?? 0) + count)
      }),
      { numRuns: Number(process.env["RUNS"] ?? 150) }
    )
    if (process.env["RUNS"] !== undefined)
      console.log(
        [...counts]
          .sort()
          .map(([what, n]) => `${what}: ${n}`)
          .join("\n")
      )
    const reached = ["Rename EINVAL", "Rename undefined", "CopyRange EINVAL", "Link EPERM", "Append undefined"]
    expect(reached.filter((what) => !counts.has(what))).toEqual([])
  })
})
