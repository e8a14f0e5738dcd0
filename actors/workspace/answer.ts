/** What a workspace tells of itself. */
import { linksFollowedMax } from "../../messages/inode.ts"
import type { Lock } from "../../messages/lock.ts"
import type { QueryOf } from "../../messages/protocol.ts"
import type { Workspace } from "../../messages/workspace.ts"
import type { Context } from "../decider.ts"
import { directory, existing, file, named, type Refusal, type Refused, refuse, sessionFault } from "./decide/rules.ts"
import { isDirectory } from "./tree/inodes.ts"
import { blockers, noLocks } from "./tree/locks.ts"
import { attributes, linkTarget, parentOf, readDirectory, readPlan } from "./tree/read.ts"
import { directoryOf, lockKey, type Tree } from "./tree/tree.ts"

type Query = QueryOf<Workspace>
type Of<Tag extends Query["_tag"]> = Extract<Query, { readonly _tag: Tag }>
type Answered = { readonly reply: unknown } | { readonly refused: Refusal }
type Asked = Omit<Context, "commandId">

/** Names of a page: with the longest names and their escapes it stays below what a message holds. */
const pageMax = 400
/** Parts of a plan: each with the digests of 16 blocks they stay below what a message holds. */
const partsMax = 1500
/** Records of garbage of a page. */
const garbageMax = 4000

export const answer = (tree: Tree, query: Query, context: Asked): Answered => {
  const over = sessionFault(tree, context.caller)
  if (over !== undefined) return over
  switch (query._tag) {
    case "Lookup":
      return ofSlot(tree, lookedUp(tree, query), context)
    case "Attributes":
      return ofSlot(tree, existing(tree, query.ino), context)
    case "ReadDir":
      return page(tree, query, context)
    case "LinkTarget":
      return target(tree, query)
    case "Xattr":
    case "ListXattr":
      return xattrs(tree, query)
    case "ReadPlan":
      return plan(tree, query, context)
    case "Resolve":
      return resolved(tree, query, context)
    default:
      return service(tree, query, context)
  }
}

/** What is not of the tree itself. */
const service = (tree: Tree, query: Of<"StatFs" | "Locks" | "Garbage" | "Sessions">, context: Asked): Answered => {
  switch (query._tag) {
    case "StatFs": {
      const { layout, bytes, bytesMax, entriesMax } = tree
      const { version } = context
      return { reply: { layout, bytes, bytesMax, entries: tree.inodes.live - 1, entriesMax, version } }
    }
    case "Locks": {
      const { ino, family, owner, type, start, end } = query
      const wanted: Lock = { session: context.caller, owner, pid: 0, type, start, end, token: 0 }
      const locks = tree.locks.get(lockKey(family, ino)) ?? noLocks
      const [conflict] = blockers(locks, wanted)
      const waits = locks.queue.some(({ token, session }) => token === query.ticket && session === context.caller)
      return { reply: { ...(conflict && { conflict }), ...(query.ticket !== undefined && { waits }) } }
    }
    case "Garbage": {
      const limit = limited(query.limit, garbageMax)
      const garbage = [...tree.garbage.list(query.after ?? -1, limit)]
      return { reply: { garbage, held: tree.garbage.held, end: garbage.length < limit } }
    }
    case "Sessions": {
      const sessions = [...tree.sessions].map(([session, { mode, host, began }]) => ({
        session,
        mode,
        ...(host === undefined ? {} : { host }),
        began
      }))
      return { reply: { sessions } }
    }
  }
}

const limited = (limit: number | undefined, max: number): number => Math.min(Math.max(limit ?? max, 1), max)

const ofSlot = (tree: Tree, slot: number | Refused, { version }: Asked): Answered =>
  typeof slot === "number" ? { reply: { attributes: attributes(tree, slot), version } } : slot

const lookedUp = (tree: Tree, query: Of<"Lookup">): number | Refused => {
  const parent = directory(tree, query.parent)
  return typeof parent === "number" ? named(tree, parent, query.name) : parent
}

const page = (tree: Tree, query: Of<"ReadDir">, { version }: Asked): Answered => {
  const slot = directory(tree, query.ino)
  if (typeof slot !== "number") return slot
  const limit = limited(query.limit, pageMax)
  const entries: Array<unknown> = []
  const end = readDirectory(tree, slot, query.after ?? 0, (name, cursor, child) => {
    if (entries.length === limit) return false
    entries.push({ name, cursor, attributes: attributes(tree, child) })
    return true
  })
  return { reply: { parent: directoryOf(tree, slot)?.parent ?? query.ino, entries, end, version } }
}

const target = (tree: Tree, query: Of<"LinkTarget">): Answered => {
  const slot = existing(tree, query.ino)
  if (typeof slot !== "number") return slot
  const found = linkTarget(tree, slot)
  return found === undefined ? refuse("EINVAL", "it is no symbolic link") : { reply: { target: found } }
}

const xattrs = (tree: Tree, query: Of<"Xattr" | "ListXattr">): Answered => {
  const slot = existing(tree, query.ino)
  if (typeof slot !== "number") return slot
  const kept = tree.xattrs.get(query.ino)
  if (query._tag === "ListXattr") return { reply: { names: [...(kept?.keys() ?? [])] } }
  const value = kept?.get(query.name)
  return value === undefined ? refuse("ENODATA", `there is no attribute ${query.name}`) : { reply: { value } }
}

const plan = (tree: Tree, query: Of<"ReadPlan">, { version }: Asked): Answered => {
  const slot = file(tree, query.ino)
  if (typeof slot !== "number") return slot
  const size = tree.inodes.size[slot] as number
  const parts = readPlan(tree, slot, query, partsMax)
  const last = parts.at(-1)
  const done = last === undefined ? query.offset : last.at + last.len
  return { reply: { size, parts, more: done < Math.min(size, query.offset + query.length), version } }
}

interface Step {
  readonly parent: number
  readonly name: string
  readonly slot: number
}

/** Walks a path from the root; links on the way are followed, and the last one when that is asked for. */
const walk = (tree: Tree, path: string, follow: boolean): Step | Refused => {
  const root = tree.inodes.find(1)
  const rest = path.split("/").reverse()
  let at: Step = { parent: root, name: "", slot: root }
  let followed = 0
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (!isDirectory(tree.inodes.mode[at.slot] as number)) return refuse("ENOTDIR", `${at.name} is no directory`)
    if (name === "" || name === ".") continue
    if (name === "..") {
      const up = parentOf(tree, at.slot)
      at = { parent: parentOf(tree, up), name: nameIn(tree, up), slot: up }
      continue
    }
    const slot = named(tree, at.slot, name)
    if (typeof slot !== "number") return slot
    const link = linkTarget(tree, slot)
    if (link === undefined || (rest.length === 0 && !follow)) {
      at = { parent: at.slot, name, slot }
      continue
    }
    followed += 1
    if (followed > linksFollowedMax) return refuse("ELOOP", "the path has too many symbolic links")
    if (link.startsWith("/")) at = { parent: root, name: "", slot: root }
    rest.push(...link.split("/").reverse())
  }
  return at
}

/** The name of a directory, which is looked for only where a path ends in `..`. */
const nameIn = (tree: Tree, slot: number): string => {
  let found = ""
  readDirectory(tree, parentOf(tree, slot), 0, (name, _cursor, child) => {
    if (child === slot) found = name
    return child !== slot
  })
  return found
}

const resolved = (tree: Tree, query: Of<"Resolve">, { version }: Asked): Answered => {
  if (query.path === "") return refuse("ENOENT", "an empty path leads nowhere")
  const step = walk(tree, query.path, query.follow === true)
  if ("refused" in step) return step
  const parent = tree.inodes.ino[step.parent] as number
  return { reply: { attributes: attributes(tree, step.slot), parent, name: step.name, version } }
}
