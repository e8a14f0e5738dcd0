/**
 * A workspace of many entries in a real node: its snapshot, the node's restart, a mount, and the memory of each.
 * `npm run bench -- mounted [--entries N] [--json] [-- FLAGS OF MOUNT]`
 */
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import { layer as diskObjects } from "../../adapters/disk/objects.ts"
import { Cell } from "../../runtime/actor/cell.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { Snapshots } from "../../runtime/ports/snapshots.ts"
import { layer as snapshotsOver } from "../../runtime/snapshots.ts"
import { begun, inSteps } from "../../runtime/steps.ts"
import { cleanUp, stop, type Up, up } from "../real/command.ts"
import { Hosts, noMounts } from "../real/mounts.ts"
import { fill } from "./tree.ts"

/** Past anything that the workspace's own log holds by then. */
const version = 1_000_000_000

const ports = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)

/** The longest time for which the loop did nothing else, and the processor time of this thread. */
const watched = async <A>(work: Effect.Effect<A>) => {
  let last = performance.now()
  let longest = 0
  let isOver = false
  const beat = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!isOver) setImmediate(beat)
  }
  setImmediate(beat)
  const cpu = process.threadCpuUsage()
  const began = performance.now()
  const result = await Effect.runPromise(work)
  const { user, system } = process.threadCpuUsage(cpu)
  isOver = true
  return { result, ms: performance.now() - began, cpuMs: (user + system) / 1000, pauseMs: longest }
}

/** Writes the snapshot where the node will look for it, as the node itself does. */
const seeded = async (data: string, workspace: string, entries: number) => {
  const cell = new Cell(kindOf(workspaceDecider), workspace, `workspace/${workspace}`)
  cell.reset()
  fill(cell.state as Tree, entries)
  cell.version = version
  const stored = snapshotsOver({ prefix: "system/" }).pipe(Layer.provide(diskObjects(join(data, "objects"))))
  const save = Effect.gen(function* () {
    const snapshots = Context.get(yield* Layer.build(stored), Snapshots)
    const bytes = yield* begun(cell.saving())
    yield* snapshots.save(`actors/${cell.key}`, { version, bytes })
  }).pipe(Effect.scoped, Effect.orDie)
  const saved = await watched(save)
  const folder = join(data, "objects", "system", "snapshots", "actors", "workspace", workspace)
  const size = readdirSync(folder).reduce((most, name) => Math.max(most, statSync(join(folder, name)).size), 0)
  const load = Effect.gen(function* () {
    const snapshots = Context.get(yield* Layer.build(stored), Snapshots)
    const found = yield* snapshots.latest(`actors/${cell.key}`)
    if (found === undefined) throw new Error("the snapshot is not there")
    const other = new Cell(cell.kind, workspace, cell.key)
    yield* inSteps(other.loading(found.bytes))
  }).pipe(Effect.scoped, Effect.orDie)
  return { saved, size, loaded: await watched(load) }
}

/** Resident bytes and processor milliseconds of a process so far. */
const usedBy = (pid: number): { readonly rss: number; readonly cpuMs: number } => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const [, rss = "0"] = /VmRSS:\s+(\d+)/.exec(status) ?? []
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
  return { rss: Number(rss) * 1024, cpuMs: (Number(fields[11]) + Number(fields[12])) * 10 }
}

const timed = async <A>(work: () => Promise<A>): Promise<readonly [A, number]> => {
  const began = performance.now()
  const result = await work()
  return [result, performance.now() - began]
}

const created = async (hosts: Hosts): Promise<string> => {
  const node = await up(hosts.data, ...ports)
  const made = await hosts.run("--json", "workspace", "create", "bench")
  // Compiled code is kept: a mount finds it there but for the very first time.
  await hosts.unmount(await hosts.mount("bench", "first"))
  await stop(node)
  return (JSON.parse(made.stdout) as { readonly id: string }).id
}

const walk = (directory: string): number => {
  let found = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    statSync(path)
    found += 1 + (entry.isDirectory() ? walk(path) : 0)
  }
  return found
}

const measure = async (hosts: Hosts, entries: number, flags: ReadonlyArray<string>) => {
  const workspace = await created(hosts)
  const { saved, size, loaded } = await seeded(hosts.data, workspace, entries)
  const [node, upMs] = await timed<Up>(() => up(hosts.data, ...ports))
  const bare = usedBy(node.pid)
  // The first question reads the actor, the second one tells what of it was the command's own.
  const [, firstMs] = await timed(() => hosts.run("ls", "bench:/component-1"))
  const read = usedBy(node.pid)
  const [, secondMs] = await timed(() => hosts.run("ls", "bench:/component-1"))
  const [a, mountMs] = await timed(() => hosts.mount("bench", "a", ...flags))
  const sidecar = usedBy(hosts.sidecar(a))
  const after = usedBy(node.pid)
  const [, againMs] = await timed(() => hosts.mount("bench", "b", ...flags))
  const again = usedBy(node.pid)
  const [walked, walkMs] = await timed(async () => walk(a))
  const told = {
    entries,
    ...{ snapshotBytes: size, saveMs: saved.ms, saveCpuMs: saved.cpuMs, savePauseMs: saved.pauseMs },
    ...{ loadMs: loaded.ms, loadCpuMs: loaded.cpuMs, loadPauseMs: loaded.pauseMs },
    ...{ upMs, activateMs: firstMs - secondMs, activateCpuMs: read.cpuMs - bare.cpuMs },
    ...{ nodeRss: read.rss - bare.rss, mountMs, mountNodeCpuMs: after.cpuMs - read.cpuMs, againMs },
    ...{ againNodeCpuMs: again.cpuMs - after.cpuMs, sidecarCpuMs: sidecar.cpuMs, sidecarRss: sidecar.rss },
    ...{ walked, walkMs, stats: readFileSync(join(a, ".stats"), "utf8").split("\n") }
  }
  await stop(node)
  return told
}

const printed = (told: Awaited<ReturnType<typeof measure>>): string => {
  const ms = (value: number) => `${Math.round(value)} ms`
  const cpu = (value: number) => `${ms(value)} of processor`
  const { savePauseMs, loadPauseMs } = told
  return [
    `${told.entries} entries`,
    `snapshot   ${mib(told.snapshotBytes)} MiB`,
    `  saved    in ${ms(told.saveMs)} (${cpu(told.saveCpuMs)}), longest pause ${ms(savePauseMs)}`,
    `  read     in ${ms(told.loadMs)} (${cpu(told.loadCpuMs)}), longest pause ${ms(loadPauseMs)}`,
    `node       up in ${ms(told.upMs)}`,
    `  actor    first question ${ms(told.activateMs)} (${cpu(told.activateCpuMs)}), ${mib(told.nodeRss)} MiB more`,
    `mount      ${ms(told.mountMs)}; the node ${cpu(told.mountNodeCpuMs)}`,
    `  sidecar  ${cpu(told.sidecarCpuMs)}, ${mib(told.sidecarRss)} MiB`,
    `  another  ${ms(told.againMs)}; the node ${cpu(told.againNodeCpuMs)}`,
    `walk       ${told.walked} entries in ${ms(told.walkMs)}`
  ].join("\n")
}

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const why = noMounts()
  if (why !== undefined) throw new Error(why)
  const at = args.indexOf("--entries")
  const flags = args.indexOf("--")
  const entries = at < 0 ? 1_000_000 : Number(args[at + 1])
  const hosts = new Hosts()
  try {
    const told = await measure(hosts, entries, flags < 0 ? [] : args.slice(flags + 1))
    process.stdout.write(`${args.includes("--json") ? JSON.stringify(told, null, 2) : printed(told)}\n`)
  } finally {
    await hosts.end()
    cleanUp()
    rmSync(hosts.root, { recursive: true, force: true })
  }
}
