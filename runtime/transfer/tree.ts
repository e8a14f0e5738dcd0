/** A directory with all that is in it, as a transfer takes it: first its directories, then what is in them. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { Speaker } from "../mount/asking.ts"
import { list } from "./commands.ts"

export interface Node<A> {
  /** Which of the tree's directories it is in; the root is in none, which is -1. */
  readonly directory: number
  readonly name: string
  readonly of: A
}

export interface Tree<A> {
  /** Each behind the one that it is in. The first one is the root, and has no name. */
  readonly directories: ReadonlyArray<Node<A>>
  readonly leaves: ReadonlyArray<Node<A>>
}

/** From the root, beginning with a slash. */
export const pathIn = <A>({ directories }: Tree<A>, { directory, name }: Node<A>): string => {
  const parent = directories[directory]
  return parent === undefined ? "" : `${pathIn({ directories, leaves: [] }, parent)}/${name}`
}

/** The directories level by level: those of one level need only those above them. */
export const levels = <A>({ directories }: Tree<A>): ReadonlyArray<ReadonlyArray<number>> => {
  const depths: Array<number> = []
  const found: Array<Array<number>> = []
  for (const [at, { directory }] of directories.entries()) {
    const depth = (depths[directory] ?? -1) + 1
    depths.push(depth)
    found[depth] ??= []
    found[depth].push(at)
  }
  return found
}

/** How many questions or files are under way at once. */
export const together = 16

/** What a workspace has below a directory. */
export const treeOf: (as: Speaker, root: Attributes) => Effect.Effect<Tree<Attributes>, unknown> = Effect.fnUntraced(
  function* (as, root) {
    const directories: Array<Node<Attributes>> = [{ directory: -1, name: "", of: root }]
    const leaves: Array<Node<Attributes>> = []
    for (let from = 0; from < directories.length; ) {
      const level = directories.slice(from)
      const listed = yield* Effect.forEach(level, ({ of }) => list(as, of.ino), { concurrency: together })
      for (const [at, entries] of listed.entries())
        for (const { name, attributes } of entries)
          (attributes.type === "directory" ? directories : leaves).push({ directory: from + at, name, of: attributes })
      from += level.length
    }
    return { directories, leaves }
  }
)
