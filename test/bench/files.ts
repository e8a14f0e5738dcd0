/**
 * A mounted workspace beside a local directory, and beside other mounts: `--peer NAME=DIRECTORY`, `--juicefs BINARY
 * --redis BINARY`, with `--in-step` one that makes nothing ahead, and with `--unsynced` one whose objects nobody waits
 * for.
 */
import { existsSync, mkdirSync, mkdtempSync, statSync } from "node:fs"
import { join } from "node:path"
import { cleanUp, kill, type Up, up } from "../real/command.ts"
import { Hosts, noMounts } from "../real/mounts.ts"
import { juicefsOf } from "./parts/juicefs.ts"
import { cleanGits, put, type Row, requestsOf, rows, type Sizes } from "./parts/rows.ts"

const timed = (work: () => void): number => {
  const began = performance.now()
  work()
  return (performance.now() - began) / 1000
}

interface Rate {
  readonly value: number
  readonly unit: string
  readonly requests?: number
}

type Rates = Readonly<Record<string, Rate>>

const measured = (row: Row, root: string, under: string, sizes: Sizes): Rate => {
  row.before?.(under, sizes)
  const before = row.counted === true ? requestsOf(root) : undefined
  const value = row.count(sizes) / timed(() => row.work(under, sizes))
  const after = before === undefined ? undefined : requestsOf(root)
  return { value, unit: row.unit, ...(after === undefined ? {} : { requests: after - (before as number) }) }
}

/** A directory that is measured, and how it is unmounted and mounted again, where it is a mount. */
interface Place {
  readonly name: string
  readonly root: string
  readonly remount?: () => Promise<unknown>
}

/** A row is measured in every place before the next one, for a machine is not the same a minute later. */
const measure = async (places: ReadonlyArray<Place>, sizes: Sizes): Promise<ReadonlyMap<string, Rates>> => {
  const grounds = places.map((place) => ({ ...place, under: mkdtempSync(join(place.root, "bench-")) }))
  const all = new Map<string, Record<string, Rate>>(places.map(({ name }) => [name, {}]))
  for (const row of rows)
    for (const { name, root, under, remount } of grounds) {
      if (row.remounted === true) await remount?.()
      Object.assign(all.get(name) as object, { [row.name]: measured(row, root, under, sizes) })
    }
  cleanGits()
  return all
}

/** How long until a change on one host is there on the other: the median, and what 99 of 100 keep below. */
const visible = (a: string, b: string, rounds: number): readonly [number, number] => {
  const times: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const name = `seen-${round}`
    existsSync(join(b, name))
    put(join(a, name), Buffer.from("seen"))
    const began = performance.now()
    while (statSync(join(b, name), { throwIfNoEntry: false })?.size !== 4);
    times.push(performance.now() - began)
  }
  times.sort((x, y) => x - y)
  return [times[Math.floor(rounds / 2)] ?? 0, times[Math.floor(rounds * 0.99)] ?? 0]
}

const flag = (args: ReadonlyArray<string>, name: string, usual: number): number => {
  const at = args.indexOf(`--${name}`)
  return at < 0 ? usual : Number(args[at + 1])
}

const peersOf = (args: ReadonlyArray<string>): ReadonlyArray<Place> =>
  args.flatMap((arg, at) => {
    if (arg !== "--peer") return []
    const [name = "", root = ""] = (args[at + 1] ?? "").split("=")
    return [{ name, root }]
  })

/** A mount of ours as a place. */
const placeOf = async (hosts: Hosts, at: string, name: string, ...flags: ReadonlyArray<string>): Promise<Place> => {
  const root = await hosts.mount("bench", at, ...flags)
  const remount = async () => {
    const { code, stderr } = await hosts.unmount(root)
    if (code !== 0) throw new Error(stderr)
    await hosts.mount("bench", at, ...flags)
  }
  return { name, root, remount }
}

const printed = (all: ReadonlyMap<string, Rates>): string => {
  const [names, base] = [[...all.keys()], all.get("local") ?? {}]
  const head = ["", ...names].map((name, at) => (at === 0 ? name.padEnd(36) : name.padStart(26))).join("")
  const rows = Object.keys(base).map((what) => {
    const cells = names.map((name) => {
      const { value, unit } = all.get(name)?.[what] ?? { value: 0, unit: "" }
      return `${Math.round(value)} ${unit} (${(value / (base[what]?.value ?? 1)).toFixed(2)})`.padStart(26)
    })
    return `${what.padEnd(36)}${cells.join("")}`
  })
  return [head, ...rows].join("\n")
}

/** What the rows compare, said with them. */
const durability = [
  "artifacts: what close returned for of a file that was written is synced, the object and the journal",
  "artifacts: what is made in a lent directory survives kill -9 at once, and a power cut 50 ms later or after fsync",
  "in step: what is made is synced too before it is answered, with --in-step",
  "juicefs: Redis is synced, objects are not: a power cut can cost what close and fsync returned for",
  "unsynced: artifacts with a store that nobody waits for, as juicefs has it; the journal is synced"
]

/** What each directory needs besides, until the end. */
interface Ground {
  readonly hosts: Hosts
  readonly node: Up
}

const ports = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]

const begun = async (more: (data: string) => ReadonlyArray<string>): Promise<Ground> => {
  const hosts = new Hosts()
  const node = await up(hosts.data, ...ports, ...more(hosts.data))
  await hosts.run("workspace", "create", "bench")
  return { hosts, node }
}

const requests = (all: ReadonlyMap<string, Rates>): ReadonlyArray<string> =>
  [...all].flatMap(([name, rates]) =>
    Object.entries(rates).flatMap(([what, { requests }]) =>
      requests === undefined ? [] : [`${what}: ${requests} requests came to ${name}`]
    )
  )

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const why = noMounts()
  if (why !== undefined) throw new Error(why)
  const sizes: Sizes = {
    files: flag(args, "files", 2000),
    small: flag(args, "small", 200),
    mib: flag(args, "mib", 512)
  }
  const peer = await juicefsOf(args)
  const grounds = [await begun(() => [])]
  try {
    const [{ hosts }] = grounds as [Ground]
    const began = performance.now()
    const first = await placeOf(hosts, "a", "artifacts")
    const mountMs = performance.now() - began
    // As deep as the mounts.
    const local = join(hosts.root, "local")
    mkdirSync(local)
    const peers = [...peersOf(args)]
    if (peer !== undefined) peers.push({ name: "juicefs", root: peer.directory, remount: peer.remount })
    // Each has a node of its own: nothing that is measured has others who hear of it.
    const another = async (name: string, begin: (data: string) => ReadonlyArray<string>, ...flags: Array<string>) => {
      const ground = await begun(begin)
      grounds.push(ground)
      peers.push(await placeOf(ground.hosts, "a", name, ...flags))
    }
    if (args.includes("--in-step")) await another("in step", () => [], "--in-step")
    if (args.includes("--unsynced"))
      await another("unsynced", (data) => ["--objects", `file://${data}-objects?sync=no`])
    const all = await measure([{ name: "local", root: local }, first, ...peers], sizes)
    const [half, most] = visible(first.root, await hosts.mount("bench", "b"), 200)
    const told = { sizes, mountMs, visibleMs: { p50: half, p99: most }, rates: Object.fromEntries(all) }
    const seen = `seen on another host: ${half.toFixed(1)} ms p50, ${most.toFixed(1)} ms p99`
    const text = [printed(all), "", ...requests(all), `mount: ${Math.round(mountMs)} ms; ${seen}`, "", ...durability]
    process.stdout.write(`${args.includes("--json") ? JSON.stringify(told, null, 2) : text.join("\n")}\n`)
  } finally {
    for (const { hosts } of grounds) await hosts.end()
    await peer?.end()
    for (const { node } of grounds) await kill(node)
    cleanUp()
  }
}
