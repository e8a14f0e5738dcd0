/**
 * An application on a mount that remembers what it was promised: `DIRECTORY NAME`. It writes pages of a file, appends
 * to a log, makes small files and reads all of it again; when it is told to stop, it says what has to be there.
 */
import { closeSync, fsyncSync, openSync, readFileSync, readSync, renameSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"

export interface Written {
  readonly operations: number
  readonly errors: ReadonlyArray<string>
  readonly longestMs: number
  /** By page: the stamp that it was filled with last. */
  readonly pages: ReadonlyArray<number>
  readonly lines: number
  readonly files: number
  readonly syncs: number
}

export const pageBytes = 4096
const pageCount = 256

/** A page is one number, again and again. */
export const pageOf = (stamp: number): Buffer => {
  const page = Buffer.alloc(pageBytes)
  for (let at = 0; at < pageBytes; at += 4) page.writeUInt32LE(stamp, at)
  return page
}

export const lineOf = (name: string, count: number): string => `${name} ${count}\n`

class Application {
  private readonly errors: Array<string> = []
  private operations = 0
  private longestMs = 0
  private stamp = 0
  private lines = 0
  private files = 0
  private syncs = 0
  private readonly pages = new Array<number>(pageCount).fill(0)
  private readonly directory: string
  private readonly name: string
  private readonly fd: number
  private readonly log: number

  constructor(directory: string, name: string) {
    this.directory = directory
    this.name = name
    this.fd = openSync(join(directory, `pages-${name}`), "w+")
    this.log = openSync(join(directory, `log-${name}`), "a")
  }

  private timed<A>(what: string, once: () => A): A | undefined {
    const began = performance.now()
    try {
      return once()
    } catch (error) {
      this.errors.push(`${what}: ${(error as Error).message}`)
      return undefined
    } finally {
      this.operations += 1
      this.longestMs = Math.max(this.longestMs, performance.now() - began)
    }
  }

  private check(what: string, holds: boolean): void {
    if (!holds) this.errors.push(what)
  }

  private write(): void {
    const page = Math.floor(Math.random() * pageCount)
    const stamp = ++this.stamp
    const done = this.timed("write", () => writeSync(this.fd, pageOf(stamp), 0, pageBytes, page * pageBytes))
    if (done === pageBytes) this.pages[page] = stamp
    else this.check(`a write was short: ${done}`, done === undefined)
  }

  private read(page: number): void {
    const found = Buffer.alloc(pageBytes)
    const length = this.timed("read", () => readSync(this.fd, found, 0, pageBytes, page * pageBytes)) ?? pageBytes
    const wanted = this.pages[page] as number
    const holds = length < pageBytes ? wanted === 0 : found.equals(pageOf(wanted))
    this.check(`page ${page} holds ${found.readUInt32LE(0)} and not ${wanted}`, holds)
  }

  private sync(): void {
    this.timed("fsync", () => fsyncSync(this.fd))
    this.syncs += 1
  }

  private append(): void {
    const line = lineOf(this.name, this.lines)
    if (this.timed("append", () => writeSync(this.log, line)) === line.length) this.lines += 1
  }

  private make(): void {
    const path = join(this.directory, `file-${this.name}-${this.files}`)
    const text = `${path}\n`.repeat(20)
    const fd = this.timed("create", () => openSync(`${path}.new`, "wx"))
    if (fd === undefined) return
    this.timed("write a file", () => writeSync(fd, text))
    this.timed("close", () => closeSync(fd))
    this.timed("rename", () => renameSync(`${path}.new`, path))
    this.timed("read a file", () => this.check("a new file has another text", readFileSync(path, "utf8") === text))
    this.timed("stat", () => this.check("a new file has another size", statSync(path).size === text.length))
    this.files += 1
  }

  round(count: number): void {
    this.write()
    this.read(Math.floor(Math.random() * pageCount))
    if (count % 5 === 0) this.append()
    if (count % 20 === 0) this.make()
    if (count % 50 === 0) this.sync()
  }

  /** Everything is looked at before it is flushed, and promised behind that. */
  end(): Written {
    for (let page = 0; page < pageCount; page++) this.read(page)
    this.sync()
    this.timed("fsync of the log", () => fsyncSync(this.log))
    const { operations, errors, longestMs, pages, lines, files, syncs } = this
    return { operations, errors: errors.slice(0, 20), longestMs, pages, lines, files, syncs }
  }
}

const main = (directory: string, name: string): void => {
  const application = new Application(directory, name)
  let isOver = false
  process.once("SIGTERM", () => {
    isOver = true
  })
  const go = (count: number): void => {
    application.round(count)
    if (!isOver) setTimeout(go, 1, count + 1)
    else process.stdout.write(JSON.stringify(application.end()))
  }
  go(0)
}

if (import.meta.main) {
  const [directory, name] = process.argv.slice(2)
  if (directory === undefined || name === undefined) throw new Error("usage: files-writer.ts DIRECTORY NAME")
  main(directory, name)
}
