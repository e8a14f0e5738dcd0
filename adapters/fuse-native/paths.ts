/** From the paths that libfuse asks by to inodes: walked each time, for names move on other hosts too. */
import { Effect } from "effect"
import { rootIno } from "../../messages/names.ts"
import type { Errno, Stat } from "../../runtime/ports/mount.ts"
import type { Ask } from "./asking.ts"

/** A name whose bytes are not UTF-8 does not come through; what comes instead could mean another file. */
export type Fault = Errno | "EILSEQ"

const replacement = "\ufffd"
/** What libfuse calls a file that is open when its name goes. */
const hiddenName = /^\.fuse_hidden[0-9a-f]{16,}$/

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1)
const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/"))

export const isHidden = (path: string): boolean => hiddenName.test(nameOf(path))

export class Paths {
  private readonly ask: Ask
  /** Files without a name that are open, by the name that libfuse has given them: nobody else sees it. */
  private readonly hidden = new Map<string, number>()
  /** The last name that was taken from an open file, until somebody looks for it again. */
  private taken: { readonly path: string; readonly node: number } | undefined

  constructor(ask: Ask) {
    this.ask = ask
  }

  /** The file at `from` has lost that name, and libfuse knows it by another one. */
  hide(from: string, path: string, node: number): void {
    this.hidden.set(nameOf(path), node)
    this.taken = { path: from, node }
  }

  /** Of a name that libfuse takes away to replace it: whose it was. Names are looked for before anything is renamed. */
  replaced(path: string): number | undefined {
    return this.taken?.path === path ? this.taken.node : undefined
  }

  /** The inode that is let go of, if the path is one of a hidden file. */
  unhide(path: string): number | undefined {
    const name = nameOf(path)
    const node = this.hidden.get(name)
    this.hidden.delete(name)
    return node
  }

  /** The inode of a path. */
  readonly find = Effect.fnUntraced(function* (this: Paths, path: string) {
    const hidden = this.hidden.size === 0 ? undefined : this.hidden.get(nameOf(path))
    if (hidden !== undefined) return hidden
    let node = rootIno
    for (const name of path.split("/")) if (name !== "") node = (yield* this.step(node, name)).ino
    return node
  })

  /** Its attributes. */
  readonly stat = Effect.fnUntraced(function* (this: Paths, path: string) {
    const name = nameOf(path)
    if (path === this.taken?.path) this.taken = undefined
    if (name === "" || this.hidden.has(name)) {
      const node = yield* this.find(path)
      return (yield* this.ask("getattr", { node })).stat
    }
    return yield* this.step(yield* this.find(directoryOf(path)), name)
  })

  /** The directory of a path, and the name in it. */
  readonly place = Effect.fnUntraced(function* (this: Paths, path: string) {
    const name = nameOf(path)
    if (name.includes(replacement)) return yield* Effect.fail<Fault>("EILSEQ")
    return { node: yield* this.find(directoryOf(path)), name }
  })

  /** A copy, for whoever answers may fill one record again and again. */
  private step(node: number, name: string): Effect.Effect<Stat, Fault> {
    if (name.includes(replacement)) return Effect.fail("EILSEQ")
    return Effect.flatMap(this.ask("lookup", { node, name }), ({ stat }) =>
      stat === undefined ? Effect.fail<Fault>("ENOENT") : Effect.succeed({ ...stat })
    )
  }
}
