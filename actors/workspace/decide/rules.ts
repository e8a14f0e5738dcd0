/** What a workspace's decisions have in common: who may, how it is refused, and checks of names and room. */
import type { Errno, Who } from "../../../messages/inode.ts"
import { bytesOfName, nameBytesMax } from "../../../messages/names.ts"
import type { CommandOf, RefusalOf } from "../../../messages/protocol.ts"
import type { Workspace } from "../../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context, Decision } from "../../decider.ts"
import { isDirectory, isFile, typeMask } from "../tree/inodes.ts"
import type { Tree } from "../tree/tree.ts"

export type Command = CommandOf<Workspace>
export type Of<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>
export type Refusal = RefusalOf<Workspace>
export type Refused = { readonly refused: Refusal }
export type Outcome = Decision<unknown, Refusal, WorkspaceEvent>

export const refuse = (code: Errno, why: string): Refused => ({ refused: { _tag: "Errno", code, why } })

/** The version is the one at which a replica shows what the reply says. */
export const accept = (events: ReadonlyArray<WorkspaceEvent>, reply: object, context: Context): Outcome => ({
  events,
  reply: { ...reply, version: events.length > 0 ? context.version : context.version - 1 }
})

/** Callers that mount nothing: administrators, nodes, other actors and API keys. */
export const needsSession = (caller: string): boolean =>
  caller !== "admin" && caller !== "node" && caller !== "outbox" && !caller.startsWith("key-")

export const sessionFault = (tree: Tree, caller: string): Refused | undefined =>
  !needsSession(caller) || tree.sessions.has(caller)
    ? undefined
    : { refused: { _tag: "SessionOver", session: caller, why: "this workspace has no such session, or no more" } }

/** What keeps a caller from changing anything. */
export const callerFault = (tree: Tree, caller: string): Refused | undefined => {
  const over = sessionFault(tree, caller)
  if (over !== undefined) return over
  return tree.sessions.get(caller)?.mode === "ro" ? refuse("EROFS", "the session may only read") : undefined
}

/** Why something cannot have this name. */
export const nameFault = (name: string): Refused | undefined => {
  if (name === "" || name === "." || name === "..") return refuse("EINVAL", `${JSON.stringify(name)} is no name`)
  if (name.includes("/") || name.includes("\0")) return refuse("EINVAL", "a name holds no slash and no NUL")
  const bytes = bytesOfName(name)
  if (bytes < 0) return refuse("EINVAL", "the name has a surrogate that stands for no byte")
  return bytes > nameBytesMax ? refuse("ENAMETOOLONG", `a name has ${nameBytesMax} bytes at most`) : undefined
}

const described = (ino: number) => `inode ${ino}`

/** The slot of what exists. */
export const existing = (tree: Tree, ino: number): number | Refused => {
  const slot = tree.inodes.find(ino)
  return slot < 0 ? refuse("ENOENT", `${described(ino)} is gone`) : slot
}

/** The slot of a directory. */
export const directory = (tree: Tree, ino: number): number | Refused => {
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  return isDirectory(tree.inodes.mode[slot] as number) ? slot : refuse("ENOTDIR", `${described(ino)} is no directory`)
}

/** The slot of a directory in which something may be made: one that was removed takes nothing in. */
export const livingDirectory = (tree: Tree, ino: number): number | Refused => {
  const slot = directory(tree, ino)
  if (typeof slot !== "number" || tree.inodes.nlink[slot] !== 0) return slot
  return refuse("ENOENT", `${described(ino)} was removed`)
}

/** The slot of a regular file. */
export const file = (tree: Tree, ino: number): number | Refused => {
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  const mode = tree.inodes.mode[slot] as number
  if (isDirectory(mode)) return refuse("EISDIR", `${described(ino)} is a directory`)
  return isFile(mode) ? slot : refuse("EINVAL", `${described(ino)} is no regular file`)
}

/** The slot that a name leads to. */
export const named = (tree: Tree, parent: number, name: string): number | Refused => {
  const fault = nameFault(name)
  if (fault !== undefined) return fault
  const entry = tree.names.find(parent, name)
  return entry < 0 ? refuse("ENOENT", `no ${JSON.stringify(name)} there`) : tree.names.childOf(entry)
}

/** In a sticky directory only the owner of the directory or of the thing may take its name away. */
export const stickyFault = (tree: Tree, parent: number, slot: number, who: Who): Refused | undefined => {
  const { mode, uid } = tree.inodes
  if (((mode[parent] as number) & 0o1000) === 0 || who.uid === 0) return undefined
  if (who.uid === uid[parent] || who.uid === uid[slot]) return undefined
  return refuse("EPERM", "the directory is sticky, and neither it nor what is in it belongs to the caller")
}

/** What others may have made ahead is counted as if it were there. */
export const entryRoom = (tree: Tree, caller: string): Refused | undefined =>
  tree.entriesMax > 0 && tree.inodes.live - 1 + tree.loans.setAside(caller) >= tree.entriesMax
    ? refuse("ENOSPC", `the workspace has its ${tree.entriesMax} entries`)
    : undefined

export const byteRoom = (tree: Tree, more: number): Refused | undefined =>
  tree.bytesMax > 0 && more > 0 && tree.bytes + more > tree.bytesMax
    ? refuse("ENOSPC", `${more} bytes more than ${tree.bytes} are over the workspace's ${tree.bytesMax}`)
    : undefined

export const permissions = (tree: Tree, slot: number): number => (tree.inodes.mode[slot] as number) & ~typeMask

/** The mode without set-uid, and without set-gid where it means execution; undefined when that changes nothing. */
export const withoutPrivileges = (mode: number): number | undefined => {
  const stripped = mode & ~0o4000 & ((mode & 0o2010) === 0o2010 ? ~0o2000 : ~0)
  return stripped === mode ? undefined : stripped
}

/** A change of a file's bytes by anybody but root takes its privileges away. */
export const afterChange = (tree: Tree, slot: number, who: Who): { readonly mode?: number } => {
  const mode = who.uid === 0 ? undefined : withoutPrivileges(permissions(tree, slot))
  return mode === undefined ? {} : { mode }
}

/** Whether the host says that the caller is of a group; undefined when it does not say. */
export const isMember = (who: Who, gid: number): boolean | undefined =>
  who.gid === gid || who.groups?.includes(gid) || (who.groups === undefined ? undefined : false)
