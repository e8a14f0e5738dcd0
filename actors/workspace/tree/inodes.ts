/** Inodes as columns: a slot for each, found by number. 96 bytes of an entry's memory are here. */
import type { InodeType } from "../../../messages/inode.ts"
import { grow16, grow32, grow64, roomFor, Table, Watched } from "./columns.ts"

/** The type bits of a mode, as the kernel has them. */
export const typeBits: Readonly<Record<InodeType, number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000
}
export const typeMask = 0o170000

const names = new Map(Object.entries(typeBits).map(([name, bits]) => [bits, name as InodeType]))

export const typeOf = (mode: number): InodeType => names.get(mode & typeMask) ?? "file"
export const isDirectory = (mode: number): boolean => (mode & typeMask) === typeBits.directory
export const isFile = (mode: number): boolean => (mode & typeMask) === typeBits.file

/** What a directory keeps besides its names. */
export interface Directory {
  parent: number
  /** Its names in the order of their cursors, removed ones among them. */
  order: Array<number>
  /** How many of them are removed. */
  dead: number
  /** The cursor of the next name: it only grows, so a reader's place stays good whatever changes. */
  cursor: number
}

/**
 * What hangs on an inode: a directory's list, a symbolic link's target, or where a file's bytes are. A number is the
 * one slice that is all of a file, which most files are; else parts as `extents.ts` describes them; undefined when
 * empty.
 */
export type Body = Directory | string | number | Array<number> | undefined

const hashOfIno = (ino: number): number => {
  const mixed = Math.imul((ino | 0) ^ Math.imul(Math.floor(ino / 0x1_0000_0000), 0x85ebca6b), 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/** Whoever changes a column, or a body in place, calls `keep` first. */
export class Inodes extends Watched {
  capacity = 0
  /** Slots from here on were never used. */
  top = 0
  live = 0
  private readonly free: Array<number> = []
  private readonly table = new Table()
  /** 0 in a free slot. */
  ino = new Float64Array(0)
  /** With the bits of the type. */
  mode = new Uint16Array(0)
  nlink = new Uint32Array(0)
  uid = new Uint32Array(0)
  gid = new Uint32Array(0)
  size = new Float64Array(0)
  used = new Float64Array(0)
  atime = new Float64Array(0)
  mtime = new Float64Array(0)
  ctime = new Float64Array(0)
  atimeNs = new Uint32Array(0)
  mtimeNs = new Uint32Array(0)
  ctimeNs = new Uint32Array(0)
  readonly body: Array<Body> = []

  private readonly hashOf = (slot: number): number => hashOfIno(this.ino[slot] as number)

  /** The slot of an inode, or -1. */
  find(ino: number): number {
    const column = this.ino
    const { cells } = this.table
    const mask = cells.length - 1
    for (let at = hashOfIno(ino) & mask; ; at = (at + 1) & mask) {
      const cell = cells[at] as number
      if (cell === 0) return -1
      if (column[cell - 1] === ino) return cell - 1
    }
  }

  /** A slot for a new inode; its columns are the caller's to fill. */
  add(ino: number): number {
    const slot = this.free.pop() ?? this.top++
    if (slot >= this.capacity) this.reserve(roomFor(this.capacity))
    this.keep(slot)
    this.ino[slot] = ino
    if (slot === this.body.length) this.body.push(undefined)
    this.table.add(hashOfIno(ino), slot, this.hashOf)
    this.live += 1
    return slot
  }

  remove(slot: number): void {
    this.keep(slot)
    const ino = this.ino[slot] as number
    const cell = this.table.seek(hashOfIno(ino), (other) => this.ino[other] === ino)
    if (cell >= 0) this.table.remove(cell, this.hashOf)
    this.ino[slot] = 0
    this.body[slot] = undefined
    this.free.push(slot)
    this.live -= 1
  }

  reserve(capacity: number): void {
    this.capacity = capacity
    this.ino = grow64(this.ino, capacity)
    this.mode = grow16(this.mode, capacity)
    this.nlink = grow32(this.nlink, capacity)
    this.uid = grow32(this.uid, capacity)
    this.gid = grow32(this.gid, capacity)
    this.size = grow64(this.size, capacity)
    this.used = grow64(this.used, capacity)
    this.atime = grow64(this.atime, capacity)
    this.mtime = grow64(this.mtime, capacity)
    this.ctime = grow64(this.ctime, capacity)
    this.atimeNs = grow32(this.atimeNs, capacity)
    this.mtimeNs = grow32(this.mtimeNs, capacity)
    this.ctimeNs = grow32(this.ctimeNs, capacity)
    this.table.reserve(capacity, this.hashOf)
  }
}
