/**
 * What a mount does ahead, told late and in pieces, while others change the same files: once all is told and heard, its
 * replica is the actor's tree.
 */

import { Effect } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { save } from "../../actors/workspace/snapshot/save.ts"
import { inoNamed } from "../../actors/workspace/tree/read.ts"
import { Ahead } from "../../runtime/mount/ahead.ts"
import { isFileMoved, losing } from "../../runtime/mount/steps.ts"
import { View } from "../../runtime/mount/view.ts"
import { type Command, Desk, root } from "../unit/workspace.ts"
import { dump } from "./workspace.dump.ts"

const names = ["a", "b", "c", "d"]
const step = fc.record({
  kind: fc.constantFrom(
    ...["create", "create", "create", "mkdir", "set", "set", "unlink", "unlink", "rmdir", "rename", "rename", "own"],
    ...["tell", "hear", "hear", "reload", "theirSet", "theirCut", "theirLink", "theirUnlink", "theirCreate", "lend"]
  ),
  folder: fc.nat(3),
  toFolder: fc.nat(3),
  name: fc.constantFrom(...names),
  toName: fc.constantFrom(...names),
  count: fc.nat(5)
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Entry {
  readonly version: number
  readonly position: number
  readonly cause: string
  readonly at: number
  readonly caller: string
  readonly events: ReadonlyArray<unknown>
}

class Run {
  readonly desk = new Desk()
  readonly view = new View("acme_1", "s1")
  readonly ahead: Ahead
  private readonly unheard: Array<Entry> = []
  private readonly folders: Array<number>
  private readonly others: number
  private now = 1_000_000
  private request = 0
  done = 0

  constructor() {
    const { desk, view } = this
    for (const session of ["s1", "s2"])
      this.ask({ _tag: "BeginSession", session: session as never, mode: "rw" }, "outbox")
    this.others = this.mkdir("others", "s2", false)
    this.folders = ["f", "g"].map((name) => this.mkdir(name, "s1", true))
    this.unheard.length = 0
    view.load(save(desk.tree), desk.version)
    view.begin()
    this.ahead = new Ahead(
      {
        ...{ view, patienceMs: 1000, depth: new Int32Array(1), fork: () => undefined, now: () => 1_000 },
        diary: { write: () => 1, told: () => undefined } as never,
        ...{ tell: () => Effect.void, giveBack: () => Effect.void }
      },
      false
    )
    view.ahead = this.ahead
  }

  private get ledger() {
    return this.ahead["ledger"]
  }

  private get change() {
    this.now += 1
    return { who: root, time: [this.now, 7] as const }
  }

  private mkdir(name: string, caller: string, lend: boolean): number {
    const asked: Command = { _tag: "Mkdir", parent: 1, name, mode: 0o755, lend, ...this.change }
    this.ask(asked, caller)
    return inoNamed(this.desk.tree, 1, name)
  }

  private ask(command: Command, caller: string): string | undefined {
    const { desk } = this
    const from = desk.log.length
    const before = desk.version
    desk.at = this.now
    const fault = desk.fault(command, caller)
    const events = desk.log.slice(from).map(({ event }) => event)
    if (desk.version > before)
      this.unheard.push({ version: desk.version, position: desk.version, cause: "", at: desk.at, caller, events })
    return fault
  }

  private hear(count: number): void {
    if (count > 0 && this.unheard.length > 0) this.view.apply(this.unheard.splice(0, count))
  }

  tell(): void {
    const { ledger } = this
    const made = ledger.batch()
    if (made.length === 0) return
    expect(this.ask({ _tag: "TellAhead", made }, "s1"), JSON.stringify(made)).toBe(undefined)
    ledger.told += made.length
  }

  settle(): void {
    while (this.ledger.told < this.ledger.done) this.tell()
    this.hear(this.unheard.length)
  }

  /** Somebody else wants a directory: it is told of and given back. */
  private theirs(command: Command): void {
    if (this.ask(command, "s2") !== "Again") return
    this.settle()
    this.ask({ _tag: "GiveBack", inos: this.folders }, "s1")
    this.hear(this.unheard.length)
    this.ask(command, "s2")
  }

  private own(command: Command, places: ReadonlyArray<number> | undefined): void {
    if (places === undefined) return
    const done = Effect.runSync(this.ahead.attempt(this.request++, command, places))
    if (done !== undefined && typeof done !== "string") this.done += 1
  }

  take({ kind, folder: at, toFolder, name, toName, count }: Step): void {
    const { view, desk } = this
    const { tree } = view
    const lists = [...this.folders, ...this.folders.map((one) => inoNamed(tree, one, "d")).filter((ino) => ino > 0)]
    const parent = lists[at % lists.length] as number
    const toParent = lists[toFolder % lists.length] as number
    const ino = inoNamed(tree, parent, name)
    const theirs = inoNamed(desk.tree, parent, name)
    const { change } = this
    const mode = 0o600 + count
    if (kind === "tell") this.tell()
    else if (kind === "hear") this.hear(count)
    else if (kind === "reload") {
      this.unheard.length = 0
      view.load(save(desk.tree), desk.version)
    } else if (kind === "create") this.own({ _tag: "Create", parent, name, mode, ...change }, [parent])
    else if (kind === "mkdir") this.own({ _tag: "Mkdir", parent, name: "d", mode: 0o755, ...change }, [parent])
    else if (kind === "set" && ino > 0) {
      const place = lists.includes(ino) ? ino : parent
      this.own({ _tag: "SetAttr", ino, mode, ...(count > 2 ? { mtime: [count, 0] } : {}), ...change }, [place])
    } else if (kind === "unlink") this.own({ _tag: "Unlink", parent, name, ...change }, losing(tree, parent, name))
    else if (kind === "rmdir") this.own({ _tag: "Rmdir", parent, name: "d", ...change }, losing(tree, parent, "d"))
    else if (kind === "rename") {
      const move = { parent, name, toParent, toName }
      this.own({ _tag: "Rename", ...move, ...change }, isFileMoved(tree, move) ? [parent, toParent] : undefined)
    } else if (kind === "own") {
      // By command, behind all that was done before, as a write rides behind it.
      while (this.ledger.told < this.ledger.done) this.tell()
      if (theirs > 0) this.ask({ _tag: "Truncate", ino: theirs, size: count, ...change }, "s1")
    } else if (kind === "lend") {
      this.settle()
      this.ask(
        {
          _tag: "Create",
          parent: this.folders[at % 2] as number,
          name: `new${this.request++}`,
          mode,
          lend: true,
          ...change
        },
        "s1"
      )
      this.hear(this.unheard.length)
    } else if (kind === "theirCreate") this.theirs({ _tag: "Create", parent, name: "theirs", mode, ...change })
    else if (kind === "theirUnlink") this.theirs({ _tag: "Unlink", parent: this.others, name, ...change })
    else if (theirs > 0 && !lists.includes(theirs)) {
      if (kind === "theirSet") this.theirs({ _tag: "SetAttr", ino: theirs, mode, uid: count, ...change })
      if (kind === "theirCut") this.theirs({ _tag: "Truncate", ino: theirs, size: count, ...change })
      if (kind === "theirLink") this.theirs({ _tag: "Link", ino: theirs, parent: this.others, name, ...change })
    }
  }
}

const plain = { folder: 0, toFolder: 0, name: "a", toName: "a", count: 0 } as const

/** Others give a file a further name and take it again, while it loses here the one that it had. */
const twiceLost: Array<Step> = (["create", "own", "theirLink", "theirUnlink", "unlink"] as const).map((kind) => ({
  ...plain,
  kind
}))

describe("what is done ahead", () => {
  it("is in the end what the workspace has, whatever others did meanwhile", () => {
    let done = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), (steps) => {
        const run = new Run()
        for (const one of steps) run.take(one)
        run.settle()
        expect(run.ahead.depth).toBe(0)
        expect(dump(run.view.tree)).toEqual(dump(run.desk.tree))
        done += run.done
      }),
      { numRuns: 250, examples: [[twiceLost]] }
    )
    expect(done).toBeGreaterThan(500)
  })

  it("is no name of several: others may take another one away before it is told", () => {
    const run = new Run()
    const kinds = [
      "create",
      "tell",
      "hear",
      "theirLink",
      "hear",
      "unlink",
      "theirUnlink",
      "hear",
      "tell",
      "hear"
    ] as const
    for (const kind of kinds) run.take({ kind, folder: 0, toFolder: 0, name: "a", toName: "b", count: 5 })
    run.settle()
    expect(dump(run.view.tree)).toEqual(dump(run.desk.tree))
  })
})
