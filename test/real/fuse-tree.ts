/** A tree of files in memory with Linux's rules, for tests: what a correct file system answers, without any storage. */
import type { Errno, Stat } from "../../runtime/ports/mount.ts"

const chunkBytes = 1 << 16
export const nameBytesMax = 255
export const typeMask = 0o170000
export const directory = 0o040000
export const regular = 0o100000
export const symlink = 0o120000
const setUid = 0o4000
const setGid = 0o2000
const groupExecute = 0o010

export interface Inode {
  readonly stat: Stat
  readonly chunks: Map<number, Uint8Array>
  /** In the order of their cookies. */
  readonly children: Map<string, { readonly inode: Inode; readonly cookie: number }>
  readonly xattrs: Map<string, Uint8Array>
  parent: Inode | undefined
  target: string
}

export interface Maker {
  readonly uid: number
  readonly gid: number
}

export const isDirectory = ({ stat }: Inode): boolean => (stat.mode & typeMask) === directory

/** Files as chunks that exist or do not: what was never written is a hole. */
export const readInto = ({ chunks, stat }: Inode, offset: number, out: Uint8Array): number => {
  const length = Math.max(0, Math.min(out.length, stat.size - offset))
  for (let done = 0; done < length; ) {
    const at = offset + done
    const within = at % chunkBytes
    const part = Math.min(chunkBytes - within, length - done)
    const chunk = chunks.get(Math.floor(at / chunkBytes))
    if (chunk === undefined) out.fill(0, done, done + part)
    else out.set(chunk.subarray(within, within + part), done)
    done += part
  }
  return length
}

export const writeFrom = (inode: Inode, offset: number, data: Uint8Array): void => {
  const { chunks, stat } = inode
  for (let done = 0; done < data.length; ) {
    const at = offset + done
    const index = Math.floor(at / chunkBytes)
    const within = at % chunkBytes
    const part = Math.min(chunkBytes - within, data.length - done)
    let chunk = chunks.get(index)
    if (chunk === undefined) {
      chunk = new Uint8Array(chunkBytes)
      chunks.set(index, chunk)
    }
    chunk.set(data.subarray(done, done + part), within)
    done += part
  }
  stat.size = Math.max(stat.size, offset + data.length)
  stat.used = chunks.size * chunkBytes
}

/** Makes a hole: whole chunks go, and the rest becomes zeros. */
export const punch = (inode: Inode, offset: number, length: number): void => {
  const { chunks, stat } = inode
  for (const [index, chunk] of chunks) {
    const start = index * chunkBytes
    const from = Math.max(0, offset - start)
    const to = Math.min(chunkBytes, offset + length - start)
    if (from >= to) continue
    if (from === 0 && to === chunkBytes) chunks.delete(index)
    else chunk.fill(0, from, to)
  }
  stat.used = chunks.size * chunkBytes
}

export const resize = (inode: Inode, size: number): void => {
  if (size < inode.stat.size) punch(inode, size, Number.MAX_SAFE_INTEGER)
  inode.stat.size = size
}

/** The first byte from `offset` on that is data, or that is not; undefined when there is none before the end. */
export const seek = ({ chunks, stat }: Inode, offset: number, hole: boolean): number | undefined => {
  if (offset >= stat.size) return undefined
  for (let at = offset; at < stat.size; at = (Math.floor(at / chunkBytes) + 1) * chunkBytes) {
    if (chunks.has(Math.floor(at / chunkBytes)) !== hole) return at
  }
  return hole ? stat.size : undefined
}

export const touch = ({ stat }: Inode, ...which: ReadonlyArray<"atime" | "mtime" | "ctime">): void => {
  const ms = performance.timeOrigin + performance.now()
  const s = Math.floor(ms / 1000)
  const ns = Math.floor((ms - s * 1000) * 1e6)
  for (const time of which) {
    stat[`${time}S`] = s
    stat[`${time}Ns`] = ns
  }
}

/** As Linux clears them: set-group-id alone, without the right to execute, once marked mandatory locks and stays. */
export const clearSetId = ({ stat, xattrs }: Inode): void => {
  stat.mode &= ~setUid
  if ((stat.mode & groupExecute) !== 0) stat.mode &= ~setGid
  xattrs.delete("security.capability")
}

export class Tree {
  readonly inodes = new Map<number, Inode>()
  readonly root: Inode
  private ino = 0
  private cookie = 2

  constructor() {
    this.root = this.make(directory | 0o755, { uid: 0, gid: 0 })
    this.root.stat.nlink = 2
  }

  make(mode: number, { gid, uid }: Maker, parent?: Inode): Inode {
    const inherits = parent !== undefined && (parent.stat.mode & setGid) !== 0
    const isDir = (mode & typeMask) === directory
    const times = { atimeS: 0, atimeNs: 0, mtimeS: 0, mtimeNs: 0, ctimeS: 0, ctimeNs: 0 }
    const stat: Stat = {
      ino: ++this.ino,
      mode: inherits && isDir ? mode | setGid : mode,
      nlink: 0,
      uid,
      gid: inherits ? parent.stat.gid : gid,
      rdev: 0,
      size: 0,
      used: 0,
      ...times
    }
    const inode = { stat, chunks: new Map(), children: new Map(), xattrs: new Map(), parent, target: "" }
    touch(inode, "atime", "mtime", "ctime")
    this.inodes.set(stat.ino, inode)
    return inode
  }

  at(ino: number): Inode {
    const inode = this.inodes.get(ino)
    if (inode === undefined) throw new Error(`the kernel asked for inode ${ino}, which there is not`)
    return inode
  }

  /** Why there can be no new entry of that name here. */
  refusal(parent: Inode, name: string): Errno | undefined {
    if (Buffer.byteLength(name) > nameBytesMax) return "ENAMETOOLONG"
    if (!isDirectory(parent)) return "ENOTDIR"
    if (parent.stat.nlink === 0) return "ENOENT"
    return parent.children.has(name) ? "EEXIST" : undefined
  }

  enter(parent: Inode, name: string, inode: Inode): void {
    parent.children.set(name, { inode, cookie: ++this.cookie })
    touch(parent, "mtime", "ctime")
    if (isDirectory(inode)) {
      inode.parent = parent
      inode.stat.nlink = 2
      parent.stat.nlink++
    } else inode.stat.nlink++
    touch(inode, "ctime")
  }

  remove(parent: Inode, name: string): void {
    const inode = parent.children.get(name)?.inode
    if (inode === undefined) return
    parent.children.delete(name)
    touch(parent, "mtime", "ctime")
    if (isDirectory(inode)) {
      inode.stat.nlink = 0
      parent.stat.nlink--
    } else inode.stat.nlink--
    touch(inode, "ctime")
  }

  /** Two entries change places. */
  exchange(from: Inode, name: string, to: Inode, toName: string): Errno | undefined {
    const one = from.children.get(name)?.inode
    const other = to.children.get(toName)?.inode
    if (one === undefined || other === undefined) return "ENOENT"
    this.place(from, name, other)
    this.place(to, toName, one)
    return undefined
  }

  rename(from: Inode, name: string, to: Inode, toName: string): Errno | undefined {
    if (Buffer.byteLength(toName) > nameBytesMax) return "ENAMETOOLONG"
    const moved = from.children.get(name)?.inode
    const replaced = to.children.get(toName)?.inode
    if (moved === undefined) return "ENOENT"
    if (moved === replaced) return undefined
    if (replaced !== undefined) {
      if (isDirectory(replaced) && !isDirectory(moved)) return "EISDIR"
      if (!isDirectory(replaced) && isDirectory(moved)) return "ENOTDIR"
      if (replaced.children.size > 0) return "ENOTEMPTY"
      this.remove(to, toName)
    }
    from.children.delete(name)
    touch(from, "mtime", "ctime")
    if (isDirectory(moved)) from.stat.nlink--
    this.place(to, toName, moved)
    if (isDirectory(moved)) to.stat.nlink++
    return undefined
  }

  private place(parent: Inode, name: string, inode: Inode): void {
    const before = parent.children.get(name)?.inode
    const delta = (isDirectory(inode) ? 1 : 0) - (before !== undefined && isDirectory(before) ? 1 : 0)
    parent.children.delete(name)
    parent.children.set(name, { inode, cookie: ++this.cookie })
    if (before !== undefined) parent.stat.nlink += delta
    inode.parent = parent
    touch(parent, "mtime", "ctime")
    touch(inode, "ctime")
  }
}
