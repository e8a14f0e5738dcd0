/** A workspace's tree of many entries: bytes of memory for each, and what reading, changing, saving and loading it takes. */
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { saving } from "../../actors/workspace/snapshot/save.ts"
import { attributes, find, lookup, readDirectory, readPlan } from "../../actors/workspace/tree/read.ts"
import { initial, type Tree } from "../../actors/workspace/tree/tree.ts"

const entriesMax = Number(process.argv[2] ?? 1_000_000)
/** As in a checkout of sources: one entry in twenty is a directory. */
const filesOfDirectory = 19
const directoriesOfDirectory = 8

const collect = globalThis.gc
if (collect === undefined) throw new Error("run it with --expose-gc: node --expose-gc test/bench/tree.ts [entries]")

const memory = () => {
  // What the first round finds, the second lets go: buffers are freed behind their arrays.
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const seconds = <T>(what: string, count: number, run: () => T): T => {
  const from = performance.now()
  const result = run()
  const ms = performance.now() - from
  console.log(
    `${what.padEnd(44)} ${ms.toFixed(0).padStart(7)} ms  ${((ms * 1e6) / count).toFixed(0).padStart(7)} ns each`
  )
  return result
}

const time = [1_779_465_601, 123_456_789] as const

/** Events as they come from a journal: parsed, so that names are strings of their own. */
const created = (fields: object) =>
  JSON.parse(JSON.stringify({ _tag: "Created", uid: 1000, gid: 1000, time, ...fields }))

const fill = (tree: Tree): void => {
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
      const placement = { chunk: 0, pos: 0, id: slice++, size: 2500, off: 0, len: 2500, digests: "0123456789abcdef" }
      evolve(tree, { _tag: "Written", ino, slices: [placement], size: 2500, time: [...time], version }, version)
    }
  }
}

const before = memory()
const tree = initial("bench")
seconds(`${entriesMax} creates and writes folded`, entriesMax, () => fill(tree))
const after = memory()
const entries = tree.inodes.live
console.log(`memory: ${((after - before) / entries).toFixed(0)} bytes an entry (${entries} entries, one slice a file)`)

const samples = 1_000_000
const inos = Array.from({ length: samples }, (_, index) => 2 + ((index * 7919) % (entries - 1)))
seconds("find and attributes", samples, () => {
  for (const ino of inos) attributes(tree, find(tree, ino))
})
const places: Array<readonly [number, string]> = []
for (let slot = 0; slot < tree.inodes.top && places.length < samples; slot++)
  readDirectory(tree, slot, 0, (name) => places.push([slot, name]) > 0)
seconds("lookup", places.length, () => {
  for (const [slot, name] of places) if (lookup(tree, slot, name) < 0) throw new Error(`lost ${name}`)
})
seconds("read plan", samples, () => {
  for (const ino of inos) readPlan(tree, find(tree, ino), { offset: 0, length: 4096 })
})

const steps: Array<number> = []
const saved = seconds("save", entries, () => {
  const parts = saving(tree)
  for (;;) {
    const from = performance.now()
    const step = parts.next()
    steps.push(performance.now() - from)
    if (step.done === true) return step.value
  }
})
const longest = Math.max(...steps.slice(1))
console.log(
  `  first step ${steps[0]?.toFixed(0)} ms, longest of the others ${longest.toFixed(0)} ms, ${saved.length} bytes`
)
const again = seconds("load", entries, () => load(saved, "bench"))
if (again.inodes.live !== entries) throw new Error("not all entries came back")
