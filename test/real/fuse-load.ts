/**
 * An application on a mount: reads, writes, makes and removes files without pause, checks all it sees, and tells at
 * the end.
 */
import { closeSync, openSync, readFileSync, readSync, statSync, unlinkSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"

export interface Loaded {
  readonly operations: number
  readonly errors: ReadonlyArray<string>
  readonly longestMs: number
}

const [dir, name] = process.argv.slice(2)
if (dir === undefined || name === undefined) throw new Error("usage: node test/real/fuse-load.ts DIRECTORY NAME")

const errors: Array<string> = []
let operations = 0
let longestMs = 0

const timed = <A>(what: string, once: () => A): A | undefined => {
  const start = performance.now()
  try {
    return once()
  } catch (error) {
    errors.push(`${what}: ${(error as Error).message}`)
    return undefined
  } finally {
    operations++
    longestMs = Math.max(longestMs, performance.now() - start)
  }
}

const check = (what: string, holds: boolean): void => {
  if (!holds) errors.push(what)
}

const own = join(dir, `own-${name}`)
const page = Buffer.alloc(4096)

const round = (count: number): void => {
  page.fill(count & 0xff)
  const fd = timed("open", () => openSync(own, count === 0 ? "w+" : "r+"))
  if (fd === undefined) return
  const at = (count % 16) * page.length
  timed("write", () => check("a write was short", writeSync(fd, page, 0, page.length, at) === page.length))
  const back = Buffer.alloc(page.length)
  timed("read", () => readSync(fd, back, 0, back.length, at))
  check(`round ${count} read something else than it wrote`, back.equals(page))
  timed("close", () => closeSync(fd))
  timed("stat", () => check("a file lost its size", statSync(own).size >= at + page.length))
  const made = join(dir, `made-${name}-${count}`)
  timed("create", () => writeFileSync(made, made, { flag: "wx" }))
  timed("read it", () => check("a new file has another text", readFileSync(made, "utf8") === made))
  timed("remove", () => unlinkSync(made))
}

let over = false
process.once("SIGTERM", () => {
  over = true
})
const go = (count: number): void => {
  round(count)
  if (!over) setImmediate(go, count + 1)
  else process.stdout.write(JSON.stringify({ operations, errors: errors.slice(0, 20), longestMs } satisfies Loaded))
}
go(0)
