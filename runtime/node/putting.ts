/** `artifacts put`: files, directories and the standard input of this host into a workspace. */
import { basename, resolve } from "node:path"
import { Effect } from "effect"
import type { Named } from "../cli/file.ts"
import type { Globals } from "../cli/globals.ts"
import { Problem } from "../cli/problem.ts"
import { destination, type Place, put, putDirectory, putLink, type Transfer } from "../transfer/files.ts"
import { levels, type Node, pathIn, type Tree, together } from "../transfer/tree.ts"
import { about, Count, type Moved, nameOf, sum } from "./count.ts"
import { bytesOfLocal, inputBytes, type Local, pathOf, scan, statOf, targetOf } from "./local.ts"
import { inWords, transferOf } from "./transfer.ts"

const permissionBits = 0o7777

const putLeaf = (transfer: Transfer, place: Place, { path, stat }: Local, count: Count) => {
  if (stat.isSymbolicLink())
    return count.one(
      "links",
      Effect.flatMap(targetOf(path), (target) => putLink(transfer, place, target))
    )
  if (!stat.isFile()) return Effect.sync(() => count.skip(path))
  const from = { bytes: bytesOfLocal(path, stat.size), mode: stat.mode & permissionBits }
  return count.one("files", put(transfer, place, from, count.moved))
}

const putTree = Effect.fnUntraced(function* (transfer: Transfer, tree: Tree<Local>, place: Place, named: string) {
  const bytes = tree.leaves.reduce((sum, { of }) => sum + (of.stat.isFile() ? of.stat.size : 0), 0)
  const count = new Count(named, tree.leaves.length, bytes)
  // Of `.` the contents go into the directory that is there.
  const isThere = place.name === "."
  const numbers: Array<number> = isThere ? [place.parent] : []
  const one = (at: number) => {
    const node = tree.directories[at] as Node<Local>
    const where = at === 0 ? place : { parent: numbers[node.directory] as number, name: node.name }
    return count.one("directories", putDirectory(transfer, where, node.of.stat.mode & permissionBits)).pipe(
      Effect.mapError(about(`${named}${pathIn(tree, node)}`)),
      Effect.tap((ino) =>
        Effect.sync(() => {
          numbers[at] = ino
        })
      )
    )
  }
  for (const level of levels(tree).slice(isThere ? 1 : 0))
    yield* Effect.forEach(level, one, { concurrency: together, discard: true })
  const leaf = (node: Node<Local>) =>
    putLeaf(transfer, { parent: numbers[node.directory] as number, name: node.name }, node.of, count).pipe(
      Effect.mapError(about(`${named}${pathIn(tree, node)}`))
    )
  yield* Effect.forEach(tree.leaves, leaf, { concurrency: together, discard: true })
  return count.end()
})

/** One of the things that `put` was given: a directory's tree, a file, or the standard input. */
interface Source {
  readonly name: string | undefined
  readonly path: Buffer
  readonly tree: Tree<Local> | undefined
  readonly local: Local | undefined
}

const sourceOf = Effect.fnUntraced(function* (text: string, deep: boolean) {
  const path = pathOf(text)
  const name = /(^|\/)\.\.?\/*$/.test(text) ? "." : basename(resolve(text))
  if (text === "-") return { name: undefined, path, tree: undefined, local: undefined } satisfies Source
  const stat = yield* statOf(path)
  const source: Source = { name, path, tree: undefined, local: { path, stat } }
  if (!stat.isDirectory()) return source
  if (!deep)
    return yield* new Problem({ code: "EISDIR", message: `${text} is a directory`, next: `put it with -r ${text}` })
  return { ...source, tree: yield* scan(path) } satisfies Source
})

/** As `cp`: into the directory that is there, or under the last name of the path. */
export const putFiles = (globals: Globals, locals: ReadonlyArray<string>, to: Named, deep: boolean) =>
  Effect.gen(function* () {
    const sources = yield* Effect.forEach(locals, (text) => sourceOf(text, deep))
    const transfer = yield* transferOf(globals, to.workspace, "rw")
    const all: Array<Moved> = []
    for (const { name, tree, local } of sources) {
      const isOne = sources.length === 1
      const place = yield* destination(transfer.as, to.path, name ?? "", isOne).pipe(Effect.mapError(about(nameOf(to))))
      if (place.name === "") return yield* new Problem({ code: "EISDIR", message: `${nameOf(to)} is a directory` })
      if (tree !== undefined) {
        all.push(yield* putTree(transfer, tree, place, `${nameOf(to)}`))
        continue
      }
      const count = new Count(nameOf(to), 1, local?.stat.size)
      const moving =
        local === undefined
          ? count.one("files", put(transfer, place, { bytes: inputBytes(), mode: 0o644 }, count.moved))
          : putLeaf(transfer, place, local, count)
      yield* moving.pipe(Effect.mapError(about(nameOf(to))))
      all.push(count.end())
    }
    return sum(all)
  }).pipe(Effect.scoped, Effect.mapError(inWords))
