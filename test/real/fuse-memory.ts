/**
 * The tree in memory as a file system that can be mounted, answered at once by the asking thread or by the main one.
 */
import { Effect } from "effect"
import type {
  Answers,
  AsyncFiles,
  Attributes,
  Entry,
  Errno,
  Listed,
  Operation,
  Request,
  SyncFiles,
  SyncHost
} from "../../runtime/ports/mount.ts"
import { Locks } from "./fuse-locks.ts"
import {
  clearSetId,
  directory,
  type Inode,
  isDirectory,
  nameBytesMax,
  punch,
  readInto,
  regular,
  resize,
  seek,
  symlink,
  Tree,
  touch,
  typeMask,
  writeFrom
} from "./fuse-tree.ts"

export interface Settings {
  /** Which thread has the tree. */
  readonly where: "worker" | "main"
  readonly entryMs: number
  readonly attrMs: number
}

const truncate = 0o1000
/** Sizes that no file may have: beyond what the kernel itself allows. */
const sizeMax = 2 ** 43

type Names = Pick<
  SyncFiles,
  "lookup" | "mknod" | "mkdir" | "symlink" | "link" | "create" | "tmpfile" | "unlink" | "rmdir" | "rename" | "forget"
>

const names = (tree: Tree, entry: (inode: Inode) => Entry, absent: Entry): Names => {
  const added = (request: Request<"mknod" | "mkdir" | "create" | "symlink">, mode: number): Inode | Errno => {
    const parent = tree.at(request.node)
    const refusal = tree.refusal(parent, request.name)
    if (refusal !== undefined) return refusal
    const inode = tree.make(mode, request, parent)
    tree.enter(parent, request.name, inode)
    return inode
  }
  const entered = (made: Inode | Errno): Entry | Errno => (typeof made === "string" ? made : entry(made))
  return {
    lookup: ({ name, node }) => {
      if (Buffer.byteLength(name) > nameBytesMax) return "ENAMETOOLONG"
      const found = tree.at(node).children.get(name)
      return found === undefined ? (absent.entryMs === 0 ? "ENOENT" : absent) : entry(found.inode)
    },
    mknod: (request) => {
      const made = added(request, request.mode)
      if (typeof made !== "string") made.stat.rdev = request.rdev
      return entered(made)
    },
    mkdir: (request) => entered(added(request, directory | (request.mode & 0o7777))),
    symlink: (request) => {
      const made = added(request, symlink | 0o777)
      if (typeof made === "string") return made
      made.target = request.target
      made.stat.size = Buffer.byteLength(request.target)
      return entry(made)
    },
    create: (request) => {
      const made = added(request, regular | (request.mode & 0o7777))
      return typeof made === "string" ? made : { entry: entry(made), opened: {} }
    },
    tmpfile: (request) => {
      const made = tree.make(regular | (request.mode & 0o7777), request, tree.at(request.node))
      return { entry: entry(made), opened: {} }
    },
    link: ({ name, node, source }) => {
      const refusal = tree.refusal(tree.at(node), name)
      if (refusal !== undefined) return refusal
      const inode = tree.at(source)
      tree.enter(tree.at(node), name, inode)
      return entry(inode)
    },
    unlink: ({ name, node }) => {
      const found = tree.at(node).children.get(name)
      if (found === undefined) return "ENOENT"
      if (isDirectory(found.inode)) return "EISDIR"
      tree.remove(tree.at(node), name)
      return undefined
    },
    rmdir: ({ name, node }) => {
      const found = tree.at(node).children.get(name)
      if (found === undefined) return "ENOENT"
      if (!isDirectory(found.inode)) return "ENOTDIR"
      if (found.inode.children.size > 0) return "ENOTEMPTY"
      tree.remove(tree.at(node), name)
      return undefined
    },
    rename: ({ how, name, node, toName, toNode }) => {
      const [from, to] = [tree.at(node), tree.at(toNode)]
      if (how === "exchange") return tree.exchange(from, name, to, toName)
      if (how === "whiteout") return "EINVAL"
      if (how === "noreplace" && to.children.has(toName)) return "EEXIST"
      return tree.rename(from, name, to, toName)
    },
    forget: ({ node }) => {
      if (tree.inodes.get(node)?.stat.nlink === 0) tree.inodes.delete(node)
      return undefined
    }
  }
}

const setTimes = (inode: Inode, request: Request<"setattr">): void => {
  for (const which of ["atime", "mtime", "ctime"] as const) {
    const time = request[which]
    if (time === "now") touch(inode, which)
    else if (time !== undefined) {
      inode.stat[`${which}S`] = time.s
      inode.stat[`${which}Ns`] = time.ns
    }
  }
}

const attributes = (tree: Tree, attrMs: number): Pick<SyncFiles, "getattr" | "setattr" | "readlink" | "statfs"> => {
  const answer = (inode: Inode): Attributes => ({ stat: inode.stat, attrMs })
  return {
    getattr: ({ node }) => answer(tree.at(node)),
    setattr: (request) => {
      const inode = tree.at(request.node)
      const { stat } = inode
      const { group, mode, owner, size } = request
      if (size !== undefined && size > sizeMax) return "EFBIG"
      if (mode !== undefined) stat.mode = (stat.mode & typeMask) | mode
      if ((owner !== undefined || group !== undefined) && !isDirectory(inode)) clearSetId(inode)
      if (owner !== undefined) stat.uid = owner
      if (group !== undefined) stat.gid = group
      if (request.clearSetId) clearSetId(inode)
      if (size !== undefined) {
        resize(inode, size)
        touch(inode, "mtime")
      }
      touch(inode, "ctime")
      setTimes(inode, request)
      return answer(inode)
    },
    readlink: ({ node }) => ({ target: tree.at(node).target }),
    statfs: () => ({
      blockBytes: 4096,
      blocks: 1 << 28,
      blocksFree: 1 << 27,
      files: 1 << 24,
      filesFree: (1 << 24) - tree.inodes.size,
      nameBytesMax
    })
  }
}

const keepSize = 1
const punchHole = 2
const zeroRange = 16

type Contents = Pick<
  SyncFiles,
  "open" | "read" | "write" | "flush" | "release" | "fsync" | "fallocate" | "lseek" | "copy" | "syncfs"
>

const contents = (tree: Tree): Contents => ({
  open: ({ clearSetId: clears, flags, node }) => {
    if ((flags & truncate) !== 0) {
      const inode = tree.at(node)
      resize(inode, 0)
      if (clears) clearSetId(inode)
      touch(inode, "mtime", "ctime")
    }
    return { keepCache: true }
  },
  read: ({ node, offset, size }, out) => readInto(tree.at(node), offset, out.subarray(0, size)),
  write: ({ clearSetId: clears, data, node, offset }) => {
    if (offset + data.length > sizeMax) return "EFBIG"
    const inode = tree.at(node)
    writeFrom(inode, offset, data)
    if (clears) clearSetId(inode)
    touch(inode, "mtime", "ctime")
    return data.length
  },
  flush: () => undefined,
  release: () => undefined,
  fsync: () => undefined,
  syncfs: () => undefined,
  fallocate: ({ length, mode, node, offset }) => {
    const inode = tree.at(node)
    if ((mode & ~(keepSize | punchHole | zeroRange)) !== 0) return "EOPNOTSUPP"
    if (offset + length > sizeMax) return "EFBIG"
    if ((mode & (punchHole | zeroRange)) !== 0) punch(inode, offset, length)
    if ((mode & keepSize) === 0) inode.stat.size = Math.max(inode.stat.size, offset + length)
    touch(inode, "mtime", "ctime")
    return undefined
  },
  lseek: ({ node, offset, whence }) => seek(tree.at(node), offset, whence === "hole") ?? "ENXIO",
  copy: ({ length, node, offset, toNode, toOffset }) => {
    const data = new Uint8Array(Math.min(length, 1 << 24))
    const read = readInto(tree.at(node), offset, data)
    writeFrom(tree.at(toNode), toOffset, data.subarray(0, read))
    touch(tree.at(toNode), "mtime", "ctime")
    return read
  }
})

const directories = (
  tree: Tree,
  { attrMs, entryMs }: Settings
): Pick<SyncFiles, "opendir" | "readdir" | "releasedir" | "fsyncdir"> => {
  const times = { entryMs, attrMs }
  function* listed(inode: Inode, offset: number): Generator<Listed> {
    const up = inode.parent ?? inode
    if (offset < 1) yield { name: ".", next: 1, stat: inode.stat, ...times }
    if (offset < 2) yield { name: "..", next: 2, stat: up.stat, ...times }
    for (const [name, child] of inode.children) {
      if (child.cookie > offset) yield { name, next: child.cookie, stat: child.inode.stat, ...times }
    }
  }
  return {
    opendir: () => ({}),
    readdir: ({ node, offset }) => listed(tree.at(node), offset),
    releasedir: () => undefined,
    fsyncdir: () => undefined
  }
}

const xattrs = (tree: Tree): Pick<SyncFiles, "setxattr" | "getxattr" | "listxattr" | "removexattr"> => ({
  setxattr: ({ how, name, node, value }) => {
    const inode = tree.at(node)
    if (name.startsWith("system.posix_acl")) return "EOPNOTSUPP"
    if (how === "create" && inode.xattrs.has(name)) return "EEXIST"
    if (how === "replace" && !inode.xattrs.has(name)) return "ENODATA"
    inode.xattrs.set(name, new Uint8Array(value))
    touch(inode, "ctime")
    return undefined
  },
  getxattr: ({ name, node }) =>
    name.startsWith("system.posix_acl") ? "EOPNOTSUPP" : (tree.at(node).xattrs.get(name) ?? "ENODATA"),
  listxattr: ({ node }) => [...tree.at(node).xattrs.keys()],
  removexattr: ({ name, node }) => {
    if (!tree.at(node).xattrs.delete(name)) return "ENODATA"
    touch(tree.at(node), "ctime")
    return undefined
  }
})

/** All but locks, which someone must be able to wait for. */
const files = (tree: Tree, settings: Settings): SyncFiles => {
  const { attrMs, entryMs } = settings
  const absent: Entry = { stat: undefined, entryMs, attrMs: 0 }
  return {
    ...names(tree, ({ stat }) => ({ stat, entryMs, attrMs }), absent),
    ...attributes(tree, attrMs),
    ...contents(tree),
    ...directories(tree, settings),
    ...xattrs(tree)
  }
}

/** Changes that a test makes behind the kernel's back: a file in the root gets other bytes, or goes. */
export interface Behind {
  readonly write?: { readonly name: string; readonly bytes: string }
  readonly remove?: string
}

const behind = (tree: Tree, { remove, write }: Behind): void => {
  if (remove !== undefined) tree.remove(tree.root, remove)
  if (write === undefined) return
  const { name, bytes } = write
  let inode = tree.root.children.get(name)?.inode
  if (inode === undefined) {
    inode = tree.make(regular | 0o644, { uid: 0, gid: 0 }, tree.root)
    tree.enter(tree.root, name, inode)
  }
  resize(inode, 0)
  writeFrom(inode, 0, Buffer.from(bytes))
  touch(inode, "mtime", "ctime")
}

/** The part on the asking thread. Where that one has the tree, files that were ever locked say so at their close. */
export const open = (data: unknown, _host: SyncHost): SyncFiles => {
  const settings = data as Settings
  if (settings.where === "main") return {}
  const tree = new Tree()
  const locked = new Set<number>()
  const lock = ({ node }: { readonly node: number }) => {
    locked.add(node)
    return { later: undefined }
  }
  const unlocked = ({ node }: { readonly node: number }) => (locked.has(node) ? { later: undefined } : undefined)
  return {
    ...files(tree, settings),
    setlk: lock,
    getlk: lock,
    flush: unlocked,
    release: unlocked,
    heard: (message) => behind(tree, message as Behind)
  }
}

type Plain = (request: Request, out: Uint8Array) => Answers[Operation] | Errno

/** An extended attribute that is never answered: for tests of callers that wait in vain. */
export const neverAnswered = "user.never"

const answersLate = (files: AsyncFiles): AsyncFiles => ({
  ...files,
  getxattr: (request, later) =>
    request.name === neverAnswered ? Effect.never : (files.getxattr?.(request, later) ?? Effect.fail("ENOSYS"))
})

/** The part on the main thread: the locks, and everything else when it has the tree. */
export const main = (settings: Settings): { readonly files: AsyncFiles; readonly behind: (what: Behind) => void } => {
  const tree = new Tree()
  const locks = new Locks()
  const out = new Uint8Array(1 << 20)
  const deferred = Object.entries(files(tree, settings)).map(([op, plain]) => [
    op,
    (request: Request) =>
      Effect.suspend(() => {
        const answer = (plain as unknown as Plain)(request, out)
        if (typeof answer === "string") return Effect.fail(answer)
        return Effect.succeed(request.op === "read" ? out.slice(0, answer as number) : answer)
      })
  ])
  const released = (node: number, owner: string, flock: boolean) =>
    Effect.sync((): undefined => {
      locks.release(node, owner, flock)
      return undefined
    })
  return {
    behind: (what) => behind(tree, what),
    files: {
      ...(settings.where === "main" && answersLate(Object.fromEntries(deferred) as AsyncFiles)),
      getlk: (request) => Effect.sync(() => locks.conflict(request.node, request)),
      setlk: (request) => locks.set(request.node, request, request.wait),
      flush: ({ node, owner }) => released(node, owner, false),
      release: ({ flock, node, owner }) =>
        flock ? released(node, owner, true) : (Effect.void as Effect.Effect<undefined>)
    }
  }
}
