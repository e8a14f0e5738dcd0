/** Operations on names: made, moved, removed and listed. */
import { Effect } from "effect"
import { type Asked, done, type Operation, operation } from "./operation.ts"
import { isHidden } from "./paths.ts"
import { inoShown, statWords } from "./record.ts"

const typeMask = 0o170000
const regular = 0o100000
/** As much as is asked for at once of a directory that is listed whole. */
const listBytes = 128 * 1024

const mknod = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, mode: number, rdev: number) {
    const place = yield* paths.place(path)
    yield* ask("mknod", { ...place, mode: (mode & typeMask) === 0 ? mode | regular : mode, rdev })
    return done
  })

const mkdir = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, mode: number) {
    yield* ask("mkdir", { ...(yield* paths.place(path)), mode })
    return done
  })

const symlink = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (target: string, path: string) {
    if (target.includes("\ufffd")) return yield* Effect.fail("EILSEQ" as const)
    yield* ask("symlink", { ...(yield* paths.place(path)), target })
    return done
  })

const link = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (from: string, path: string) {
    const source = yield* paths.find(from)
    yield* ask("link", { ...(yield* paths.place(path)), source })
    return done
  })

/** A hidden file has lost its name already, and its last handle is closed by now. */
const unlink = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string) {
    const node = paths.unhide(path)
    if (node === undefined) yield* ask("unlink", yield* paths.place(path))
    else yield* ask("forget", { node, count: 1 })
    return done
  })

const rmdir = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string) {
    yield* ask("rmdir", yield* paths.place(path))
    return done
  })

/**
 * libfuse gives a file that is open another name when its own is removed or replaced. That other name stays here: the
 * file loses its name, and lives on by being open.
 */
const rename = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, toPath: string) {
    const from = yield* paths.place(path)
    if (isHidden(toPath)) {
      const node = yield* paths.find(path)
      yield* ask("unlink", from)
      paths.hide(path, toPath, node)
      return done
    }
    const { node: toNode, name: toName } = yield* paths.place(toPath)
    const replaced = paths.replaced(toPath)
    // Two names of one file: nothing is to be done, and libfuse has taken one of them away.
    if (replaced !== undefined && replaced === (yield* paths.find(path))) {
      yield* ask("link", { node: toNode, name: toName, source: replaced })
      return done
    }
    yield* ask("rename", { ...from, toNode, toName, how: "replace" })
    return done
  })

const readlink = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string) {
    const { target } = yield* ask("readlink", { node: yield* paths.find(path) })
    return { result: 0, given: [target] }
  })

/** libfuse takes a directory whole: of each entry its name, and the words that say its number and type. */
const readdir = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string) {
    const node = yield* paths.find(path)
    const names: Array<string> = []
    const records: Array<Uint32Array> = []
    for (let offset = 0, more = true; more; ) {
      more = false
      for (const { name, next, stat } of yield* ask("readdir", {
        node,
        handle: 0,
        offset,
        size: listBytes,
        plus: false
      })) {
        const words = new Uint32Array(statWords)
        words[0] = stat.mode
        words[7] = inoShown(stat.ino)
        names.push(name)
        records.push(words)
        offset = next
        more = true
      }
    }
    return { result: 0, given: [names, records] }
  })

export const names = (asked: Asked): Readonly<Record<string, Operation>> => ({
  mknod: operation(mknod(asked)),
  mkdir: operation(mkdir(asked)),
  symlink: operation(symlink(asked)),
  link: operation(link(asked)),
  unlink: operation(unlink(asked)),
  rmdir: operation(rmdir(asked)),
  rename: operation(rename(asked)),
  readlink: operation(readlink(asked), () => [""]),
  readdir: operation(readdir(asked), () => [[], []])
})
