/** The naive workspace: objects that point to each other, and every byte by itself. Ours is held against it. */

export type Time = readonly [number, number]

export interface Node {
  readonly ino: number
  readonly type: "file" | "directory" | "symlink"
  nlink: number
  mode: number
  uid: number
  gid: number
  size: number
  mtime: Time
  ctime: Time
  target: string
  /** Bytes by position; what is not there reads as zero. */
  bytes: Map<number, number>
  entries: Map<string, Node>
  parent: Node | undefined
  holders: Set<string>
  until: number
}

/** The byte of a slice at an offset, which is all that a slice is here. */
export const byteOf = (id: number, offset: number): number => ((id * 31 + offset * 7) % 255) + 1

export class Model {
  readonly nodes = new Map<number, Node>()
  readonly sessions = new Set<string>()
  readonly root: Node
  next = 1

  constructor() {
    this.root = this.make("directory", 0o755, [0, 0])
    this.root.parent = this.root
  }

  make(type: Node["type"], mode: number, time: Time): Node {
    const node: Node = {
      ino: this.next++,
      type,
      nlink: type === "directory" ? 2 : 1,
      mode,
      uid: 0,
      gid: 0,
      size: type === "directory" ? 4096 : 0,
      mtime: time,
      ctime: time,
      target: "",
      bytes: new Map(),
      entries: new Map(),
      parent: undefined,
      holders: new Set(),
      until: 0
    }
    this.nodes.set(node.ino, node)
    return node
  }

  /** The directory, or the errno of what is none. */
  private list(ino: number): Node | string {
    const node = this.nodes.get(ino)
    if (node === undefined) return "ENOENT"
    return node.type === "directory" ? node : "ENOTDIR"
  }

  private home(ino: number): Node | string {
    const node = this.list(ino)
    return typeof node !== "string" && node.nlink === 0 ? "ENOENT" : node
  }

  add(type: Node["type"], parent: number, name: string, more: { mode: number; time: Time; target?: string }) {
    const list = this.home(parent)
    if (typeof list === "string") return list
    if (list.entries.has(name)) return "EEXIST"
    const node = this.make(type, more.mode, more.time)
    if (more.target !== undefined) {
      node.target = more.target
      node.size = Buffer.byteLength(more.target)
    }
    list.entries.set(name, node)
    if (type === "directory") {
      node.parent = list
      list.nlink += 1
    }
    list.mtime = list.ctime = more.time
    return undefined
  }

  link(ino: number, parent: number, name: string, time: Time) {
    const list = this.home(parent)
    if (typeof list === "string") return list
    const node = this.nodes.get(ino)
    if (node === undefined) return "ENOENT"
    if (node.type === "directory") return "EPERM"
    if (list.entries.has(name)) return "EEXIST"
    if (node.nlink === 0) return "ENOENT"
    list.entries.set(name, node)
    node.nlink += 1
    node.ctime = list.mtime = list.ctime = time
    return undefined
  }

  private lose(node: Node, how: { open: boolean; caller: string; at: number; time: Time }) {
    node.ctime = how.time
    node.nlink = node.type === "directory" ? 0 : node.nlink - 1
    if (node.nlink > 0) return
    const isMount = this.sessions.has(how.caller)
    const others = this.sessions.size - (isMount ? 1 : 0)
    node.until = others > 0 && node.type === "file" ? how.at + 60_000 : 0
    if (how.open && isMount) node.holders.add(how.caller)
    else if (node.until === 0) this.nodes.delete(node.ino)
  }

  remove(dir: boolean, parent: number, name: string, how: { open: boolean; caller: string; at: number; time: Time }) {
    const list = this.list(parent)
    if (typeof list === "string") return list
    const node = list.entries.get(name)
    if (node === undefined) return "ENOENT"
    if (dir && node.type !== "directory") return "ENOTDIR"
    if (!dir && node.type === "directory") return "EISDIR"
    if (node.entries.size > 0) return "ENOTEMPTY"
    list.entries.delete(name)
    list.mtime = list.ctime = how.time
    if (dir) list.nlink -= 1
    this.lose(node, how)
    return undefined
  }

  private isWithin(inner: Node, outer: Node): boolean {
    for (let at = inner; ; at = at.parent as Node) {
      if (at === outer) return true
      if (at === this.root || at.parent === undefined) return false
      if (!this.nodes.has(at.parent.ino)) return false
    }
  }

  rename(
    from: readonly [number, string],
    to: readonly [number, string],
    flag: string | undefined,
    how: { open: boolean; caller: string; at: number; time: Time }
  ) {
    const list = this.list(from[0])
    if (typeof list === "string") return list
    const toList = this.home(to[0])
    if (typeof toList === "string") return toList
    const node = list.entries.get(from[1])
    if (node === undefined) return "ENOENT"
    const other = toList.entries.get(to[1])
    if (flag === "noreplace" && other !== undefined) return "EEXIST"
    if (flag === "exchange" && other === undefined) return "ENOENT"
    if (node === other) return undefined
    const isList = node.type === "directory"
    if (isList && this.isWithin(toList, node)) return "EINVAL"
    if (flag === "exchange" && other?.type === "directory" && this.isWithin(list, other)) return "EINVAL"
    if (flag !== "exchange" && other !== undefined) {
      if (isList && other.type !== "directory") return "ENOTDIR"
      if (!isList && other.type === "directory") return "EISDIR"
      if (other.entries.size > 0) return "ENOTEMPTY"
    }
    list.entries.delete(from[1])
    toList.entries.set(to[1], node)
    const adopt = (child: Node, old: Node, parent: Node) => {
      if (child.type !== "directory") return
      child.parent = parent
      old.nlink -= 1
      parent.nlink += 1
    }
    adopt(node, list, toList)
    if (flag === "exchange" && other !== undefined) {
      list.entries.set(from[1], other)
      adopt(other, toList, list)
      other.ctime = how.time
    }
    node.ctime = list.mtime = list.ctime = toList.mtime = toList.ctime = how.time
    if (flag === "exchange" || other === undefined) return undefined
    if (other.type === "directory") toList.nlink -= 1
    this.lose(other, how)
    return undefined
  }

  file(ino: number): Node | string {
    const node = this.nodes.get(ino)
    if (node === undefined) return "ENOENT"
    return node.type === "directory" ? "EISDIR" : node.type === "symlink" ? "EINVAL" : node
  }

  truncate(ino: number, size: number, time: Time) {
    const node = this.file(ino)
    if (typeof node === "string") return node
    for (const position of [...node.bytes.keys()]) if (position >= size) node.bytes.delete(position)
    node.size = size
    node.mtime = node.ctime = time
    return undefined
  }

  write(ino: number, position: number, part: { id: number; off: number; len: number }, time: Time) {
    const node = this.file(ino)
    if (typeof node === "string") return node
    for (let at = 0; at < part.len; at++) {
      if (part.id === 0) node.bytes.delete(position + at)
      else node.bytes.set(position + at, byteOf(part.id, part.off + at))
    }
    node.size = Math.max(node.size, position + part.len)
    node.mtime = node.ctime = time
    return undefined
  }

  copy(from: number, offset: number, to: { ino: number; position: number; length: number }, time: Time) {
    const source = this.file(from)
    if (typeof source === "string") return source
    const node = this.file(to.ino)
    if (typeof node === "string") return node
    const length = Math.min(to.length, source.size - offset)
    if (length <= 0) return undefined
    const { position } = to
    if (source === node && offset < position + length && position < offset + length) return "EINVAL"
    for (const at of [...node.bytes.keys()]) if (at >= position && at < position + length) node.bytes.delete(at)
    for (const [at, byte] of source.bytes)
      if (at >= offset && at < offset + length) node.bytes.set(at - offset + position, byte)
    node.size = Math.max(node.size, position + length)
    node.mtime = node.ctime = time
    return undefined
  }

  allocate(ino: number, how: string, range: { offset: number; length: number }, time: Time) {
    const node = this.file(ino)
    if (typeof node === "string") return node
    const { offset, length } = range
    if (length === 0) return "EINVAL"
    if (how === "punch" || how.startsWith("zero"))
      for (const at of [...node.bytes.keys()]) if (at >= offset && at < offset + length) node.bytes.delete(at)
    if (how === "extend" || how === "zero") node.size = Math.max(node.size, offset + length)
    node.mtime = node.ctime = time
    return undefined
  }

  /** The time of those without a name is over. */
  reap(at: number) {
    for (const node of [...this.nodes.values()])
      if (node.nlink === 0 && node.holders.size === 0 && node.until <= at) this.nodes.delete(node.ino)
  }

  letGo(ino: number, session: string, at: number) {
    const node = this.nodes.get(ino)
    if (node === undefined || !node.holders.delete(session)) return
    if (node.holders.size === 0 && node.until <= at) this.nodes.delete(ino)
  }

  end(session: string, at: number) {
    if (!this.sessions.delete(session)) return
    for (const node of [...this.nodes.values()]) this.letGo(node.ino, session, at)
  }
}
