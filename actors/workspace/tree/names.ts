/** The names of all directories in one table of columns: found by directory and name, listed by cursor. */
import { grow32, grow64, roomFor, Table, Watched } from "./columns.ts"
import type { Directory } from "./inodes.ts"

const hashOfName = (directory: number, name: string): number => {
  let hash = Math.imul(directory ^ 0x811c9dc5, 0x01000193)
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return hash ^ (hash >>> 13)
}

/** Below this a directory keeps its removed names: it is not worth the copying. */
const deadMin = 16

export class Names extends Watched {
  capacity = 0
  top = 0
  private readonly free: Array<number> = []
  private readonly table = new Table()
  readonly name: Array<string> = []
  /** The slot of the directory's inode. */
  directory = new Uint32Array(0)
  /** The slot of the inode that it names, plus 1; 0 when the name was removed. */
  child = new Uint32Array(0)
  cursor = new Float64Array(0)
  private hash = new Uint32Array(0)

  private readonly hashOf = (entry: number): number => this.hash[entry] as number

  get live(): number {
    return this.table.held
  }

  /** The entry of a name, or -1. */
  find(directory: number, name: string): number {
    const hash = hashOfName(directory, name) >>> 0
    const { cells } = this.table
    const mask = cells.length - 1
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const cell = cells[at] as number
      if (cell === 0) return -1
      const entry = cell - 1
      if (this.hash[entry] === hash && this.directory[entry] === directory && this.name[entry] === name) return entry
    }
  }

  childOf(entry: number): number {
    return (this.child[entry] as number) - 1
  }

  /** Names a slot in a directory that has no such name. */
  add(list: Directory, directory: number, name: string, child: number): number {
    return this.addAt(list, directory, { name, child, cursor: list.cursor++ })
  }

  /** As a snapshot has it: with its cursor, which is behind those before it. */
  addAt(list: Directory, directory: number, one: { name: string; child: number; cursor: number }): number {
    const entry = this.free.pop() ?? this.top++
    if (entry >= this.capacity) this.reserve(roomFor(this.capacity))
    this.keep(entry)
    const hash = hashOfName(directory, one.name)
    this.name[entry] = one.name
    this.directory[entry] = directory
    this.child[entry] = one.child + 1
    this.cursor[entry] = one.cursor
    this.hash[entry] = hash
    list.order.push(entry)
    this.table.add(hash, entry, this.hashOf)
    return entry
  }

  /** Lets a name lead elsewhere. */
  point(entry: number, child: number): void {
    this.keep(entry)
    this.child[entry] = child + 1
  }

  /** It keeps its place in the directory's order until there are too many such, for readers' sake. */
  remove(list: Directory, entry: number): void {
    this.forget(entry)
    list.dead += 1
    if (list.dead > deadMin && list.dead * 2 > list.order.length) this.tidy(list)
  }

  private forget(entry: number): void {
    this.keep(entry)
    const cell = this.table.seek(this.hash[entry] as number, (other) => other === entry)
    if (cell >= 0) this.table.remove(cell, this.hashOf)
    this.child[entry] = 0
    this.name[entry] = ""
  }

  private tidy(list: Directory): void {
    const living: Array<number> = []
    for (const entry of list.order) {
      if (this.child[entry] === 0) this.free.push(entry)
      else living.push(entry)
    }
    list.order = living
    list.dead = 0
  }

  /** A directory that is gone gives back what it kept. */
  drop(list: Directory): void {
    for (const entry of list.order) {
      if (this.child[entry] !== 0) this.forget(entry)
      this.free.push(entry)
    }
    list.order = []
    list.dead = 0
  }

  /** Where in the order the first name with a larger cursor is. */
  after(list: Directory, cursor: number): number {
    let low = 0
    let high = list.order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.cursor[list.order[middle] as number] as number) <= cursor) low = middle + 1
      else high = middle
    }
    return low
  }

  reserve(capacity: number): void {
    this.capacity = capacity
    this.directory = grow32(this.directory, capacity)
    this.child = grow32(this.child, capacity)
    this.cursor = grow64(this.cursor, capacity)
    this.hash = grow32(this.hash, capacity)
    this.table.reserve(capacity, this.hashOf)
  }
}
