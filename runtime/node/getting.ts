/** `artifacts get` and `cat`: files and directories of a workspace to this host and its standard output. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { Named } from "../cli/file.ts"
import type { Globals } from "../cli/globals.ts"
import { Problem } from "../cli/problem.ts"
import { linkTarget, resolve } from "../transfer/commands.ts"
import { bytesOf, type Transfer } from "../transfer/files.ts"
import { type Node, pathIn, together, treeOf } from "../transfer/tree.ts"
import { about, Count, type Moved, nameOf } from "./count.ts"
import { below, intoFile, intoLink, intoOutput, isDirectory, makeDirectory, pathOf } from "./local.ts"
import { inWords, transferOf } from "./transfer.ts"

/** A tree's files are many: each takes less at once. */
const treeStepBytes = 4 * 1024 * 1024

const getLeaf = (transfer: Transfer, path: Buffer, of: Attributes, count: Count) => {
  if (of.type === "symlink")
    return count.one(
      "links",
      Effect.flatMap(linkTarget(transfer.as, of.ino), (target) => intoLink(path, target))
    )
  if (of.type !== "file") return Effect.sync(() => count.skip(path))
  return count.one("files", intoFile(path, of.mode, bytesOf(transfer, of, treeStepBytes), count.moved))
}

const getTree = Effect.fnUntraced(function* (transfer: Transfer, root: Attributes, local: Buffer, named: string) {
  const tree = yield* treeOf(transfer.as, root).pipe(Effect.mapError(about(named)))
  const bytes = tree.leaves.reduce((to, { of }) => to + (of.type === "file" ? of.size : 0), 0)
  const count = new Count(named, tree.leaves.length, bytes)
  const paths: Array<Buffer> = []
  const modes: Array<() => void> = []
  for (const { directory, name, of } of tree.directories) {
    const path = directory < 0 ? local : below(paths[directory] as Buffer, name)
    paths.push(path)
    modes.push(yield* makeDirectory(path, of.mode))
    count.directories += 1
  }
  const leaf = (node: Node<Attributes>) =>
    getLeaf(transfer, below(paths[node.directory] as Buffer, node.name), node.of, count).pipe(
      Effect.mapError(about(`${named}${pathIn(tree, node)}`))
    )
  yield* Effect.forEach(tree.leaves, leaf, { concurrency: together, discard: true })
  for (const setMode of modes.reverse()) setMode()
  return count.end()
})

export const getFiles = (globals: Globals, from: Named, local: string | undefined, deep: boolean) =>
  Effect.gen(function* () {
    const named = nameOf(from)
    const transfer = yield* transferOf(globals, from.workspace, "ro")
    const { attributes } = yield* resolve(transfer.as, from.path).pipe(Effect.mapError(about(named)))
    const { type, size } = attributes
    if (type === "directory" && !deep)
      return yield* new Problem({ code: "EISDIR", message: `${named} is a directory`, next: `get it with -r ${named}` })
    if (type !== "directory" && type !== "file")
      return yield* new Problem({ code: "EINVAL", message: `${named} is no file but a ${type}` })
    if (local === "-") {
      if (type !== "file") return yield* new Problem({ code: "EISDIR", message: `${named} is a directory` })
      const bytes = yield* intoOutput(bytesOf(transfer, attributes)).pipe(Effect.mapError(about(named)))
      return { files: 1, directories: 0, links: 0, bytes, skipped: [] } satisfies Moved
    }
    const name = from.path.split("/").findLast((part) => part !== "") ?? from.workspace
    const given = pathOf(local ?? name)
    const to = local !== undefined && isDirectory(given) ? below(given, name) : given
    if (type === "directory") return yield* getTree(transfer, attributes, to, named)
    const count = new Count(named, 1, size)
    const whole = intoFile(to, attributes.mode, bytesOf(transfer, attributes), count.moved)
    yield* count.one("files", whole).pipe(Effect.mapError(about(named)))
    return count.end()
  }).pipe(Effect.scoped, Effect.mapError(inWords))
