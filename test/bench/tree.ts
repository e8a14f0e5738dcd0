/** A tree of many entries: the memory that each takes, and the CPU time of reading, changing and saving it. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { saving } from "../../actors/workspace/snapshot/save.ts"
import { attributes, find, lookup, readDirectory, readPlan } from "../../actors/workspace/tree/read.ts"
import { initial, type Tree } from "../../actors/workspace/tree/tree.ts"

/** As in a checkout of sources: one entry in twenty is a directory. */
const filesOfDirectory = 19
const directoriesOfDirectory = 8
const samples = 1_000_000

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const memory = () => {
  // What the first round finds, the second lets go: buffers are freed behind their arrays.
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

interface Row {
  readonly what: string
  readonly ms: number
  readonly ns: number
}

const timed = <T>(rows: Array<Row>, what: string, count: number, run: () => T): T => {
  const from = process.threadCpuUsage()
  const result = run()
  const { user, system } = process.threadCpuUsage(from)
  const ms = (user + system) / 1000
  rows.push({ what, ms: Math.round(ms), ns: Math.round((ms * 1e6) / count) })
  return result
}

const time = [1_779_465_601, 123_456_789] as const

/** Events as they come from a journal: parsed, so that names are strings of their own. */
const created = (fields: object) =>
  JSON.parse(JSON.stringify({ _tag: "Created", uid: 1000, gid: 1000, time, ...fields }))

/** As different as they are in life, for what compresses them. */
const digestOf = (ino: number): string =>
  [0x9e3779b1, 0x85ebca6b].map((by) => (Math.imul(ino, by) >>> 0).toString(16).padStart(8, "0")).join("")
const timeOf = (ino: number): [number, number] => [time[0] + (ino >>> 6), (Math.imul(ino, 2654435761) >>> 0) % 1e9]

export const fill = (tree: Tree, entriesMax: number): void => {
  let version = 0
  let entries = 0
  let slice = 1
  evolve(tree, { _tag: "SlicesReserved", holder: "bench", first: 1, count: entriesMax }, 0)
  const parents = [1]
  for (const parent of parents) {
    for (let at = 0; at < directoriesOfDirectory && entries < entriesMax; at++, entries++) {
      const ino = tree.nextIno
      evolve(tree, created({ ino, parent, name: `component-${ino}`, type: "directory", mode: 0o755 }), ++version)
      parents.push(ino)
    }
    for (let at = 0; at < filesOfDirectory * directoriesOfDirectory && entries < entriesMax; at++, entries++) {
      const ino = tree.nextIno
      evolve(tree, created({ ino, parent, name: `source-file-${ino}.ts`, type: "file", mode: 0o644 }), ++version)
      const size = 100 + (Math.imul(ino, 2654435761) >>> 18)
      const placement = { chunk: 0, pos: 0, id: slice++, size, off: 0, len: size, digests: digestOf(ino) }
      evolve(tree, { _tag: "Written", ino, slices: [placement], size, time: timeOf(ino), version }, version)
    }
  }
}

const read = (tree: Tree, rows: Array<Row>): void => {
  const entries = tree.inodes.live
  const inos = Array.from({ length: samples }, (_, index) => 2 + ((index * 7919) % (entries - 1)))
  timed(rows, "find and attributes", samples, () => {
    for (const ino of inos) attributes(tree, find(tree, ino))
  })
  const places: Array<readonly [number, string]> = []
  for (let slot = 0; slot < tree.inodes.top && places.length < samples; slot++)
    readDirectory(tree, slot, 0, (name) => places.push([slot, name]) > 0)
  timed(rows, "lookup", places.length, () => {
    for (const [slot, name] of places) if (lookup(tree, slot, name) < 0) throw new Error(`lost ${name}`)
  })
  timed(rows, "read plan", samples, () => {
    for (const ino of inos) readPlan(tree, find(tree, ino), { offset: 0, length: 4096 })
  })
}

const snapshot = (tree: Tree, rows: Array<Row>) => {
  const entries = tree.inodes.live
  const steps: Array<number> = []
  const pieces = timed(rows, "save", entries, () => {
    const parts = saving(tree)
    for (;;) {
      const from = process.threadCpuUsage()
      const step = parts.next()
      const { user, system } = process.threadCpuUsage(from)
      steps.push(Math.round((user + system) / 100) / 10)
      if (step.done === true) return step.value
    }
  })
  const saved = Buffer.concat(pieces)
  const again = timed(rows, "load", entries, () => load(saved, "bench"))
  if (again.inodes.live !== entries) throw new Error("not all entries came back")
  return { bytes: saved.length, firstStepMs: steps[0] ?? 0, longestStepMs: Math.max(...steps.slice(1)) }
}

/** `npm run bench -- tree [ENTRIES] [--json]` */
export const main = (args: ReadonlyArray<string>): void => {
  const entriesMax = Number(args.find((arg) => /^\d+$/.test(arg)) ?? 1_000_000)
  const rows: Array<Row> = []
  const before = memory()
  const tree = initial("bench")
  timed(rows, "create and write, folded", entriesMax, () => fill(tree, entriesMax))
  const entries = tree.inodes.live
  const bytesOfEntry = Math.round((memory() - before) / entries)
  read(tree, rows)
  const saved = snapshot(tree, rows)
  if (args.includes("--json")) {
    console.log(JSON.stringify({ entries, bytesOfEntry, rows, snapshot: saved }))
    return
  }
  console.log(`${entries} entries, one slice a file: ${bytesOfEntry} bytes of memory each`)
  for (const { what, ms, ns } of rows)
    console.log(`${what.padEnd(28)} ${String(ms).padStart(7)} ms ${String(ns).padStart(7)} ns each`)
  console.log(
    `snapshot: ${saved.bytes} bytes; ${saved.firstStepMs} ms at once, then steps of ${saved.longestStepMs} ms at most`
  )
}
