/**
 * A mounted workspace beside a local directory, and beside other mounts: `--peer NAME=DIRECTORY`, or
 * `--juicefs BINARY --redis BINARY`.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { cleanUp, kill, up } from "../real/command.ts"
import { Hosts, noMounts } from "../real/mounts.ts"
import { juicefsOf } from "./parts/juicefs.ts"

/** Sizes: `--files N` for the small ones, `--mib N` for the large one. */
interface Sizes {
  readonly files: number
  readonly small: number
  readonly mib: number
}

const timed = (work: () => void): number => {
  const began = performance.now()
  work()
  return (performance.now() - began) / 1000
}

const block = Buffer.alloc(1024 * 1024, "artifacts ")

const put = (path: string, bytes: Buffer, synced = false): void => {
  const fd = openSync(path, "w")
  if (bytes.length > 0) writeSync(fd, bytes)
  if (synced) fsyncSync(fd)
  closeSync(fd)
}

const walk = (directory: string): number => {
  let found = 0
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    found += 1
    if (lstatSync(path).isDirectory()) found += walk(path)
  }
  return found
}

const readAll = (path: string): void => {
  const fd = openSync(path, "r")
  const into = Buffer.alloc(1024 * 1024)
  while (readSync(fd, into) > 0);
  closeSync(fd)
}

type Rates = Readonly<Record<string, { readonly value: number; readonly unit: string }>>

/** Each directory of a hundred files, as trees have them. */
const spread = (root: string, at: number): string => join(root, `d${Math.floor(at / 100)}`, `f${at % 100}`)

const measure = (root: string, { files, small, mib }: Sizes): Rates => {
  const under = mkdtempSync(join(root, "bench-"))
  const rate = (count: number, seconds: number) => ({ value: count / seconds, unit: "files/s" })
  const through = (seconds: number) => ({ value: mib / seconds, unit: "MiB/s" })
  for (let at = 0; at < files; at += 100) mkdirSync(join(under, `d${at / 100}`))
  const create = timed(() => {
    for (let at = 0; at < files; at++) put(spread(under, at), Buffer.alloc(0))
  })
  const first = timed(() => walk(under))
  const second = timed(() => walk(under))
  const bytes = Buffer.alloc(128 * 1024, "x")
  const smalls = timed(() => {
    for (let at = 0; at < small; at++) put(join(under, `small-${at}`), bytes)
  })
  const large = join(under, "large")
  const write = timed(() => {
    const fd = openSync(large, "w")
    for (let at = 0; at < mib; at++) writeSync(fd, block)
    fsyncSync(fd)
    closeSync(fd)
  })
  const warm = timed(() => readAll(large))
  const remove = timed(() => rmSync(under, { recursive: true }))
  return {
    "create and close, empty": rate(files, create),
    "walk, first": rate(files, first),
    "walk, again": rate(files, second),
    "write 128 KiB and close": rate(small, smalls),
    "write, 1 MiB at a time, and fsync": through(write),
    "read again": through(warm),
    remove: rate(files + small, remove)
  }
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

const peersOf = (args: ReadonlyArray<string>): ReadonlyArray<readonly [string, string]> =>
  args.flatMap((arg, at) => {
    if (arg !== "--peer") return []
    const [name = "", directory = ""] = (args[at + 1] ?? "").split("=")
    return [[name, directory] as const]
  })

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

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const why = noMounts()
  if (why !== undefined) throw new Error(why)
  const sizes: Sizes = {
    files: flag(args, "files", 2000),
    small: flag(args, "small", 200),
    mib: flag(args, "mib", 512)
  }
  const hosts = new Hosts()
  const peer = await juicefsOf(args)
  const node = await up(hosts.data, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0")
  try {
    await hosts.run("workspace", "create", "bench")
    const began = performance.now()
    const a = await hosts.mount("bench", "a")
    const mountMs = performance.now() - began
    const b = await hosts.mount("bench", "b")
    const local = mkdtempSync(join(tmpdir(), "artifacts-bench-"))
    const peers = [...peersOf(args), ...(peer === undefined ? [] : [["juicefs", peer.directory] as const])]
    const places = [["local", local], ["artifacts", a], ...peers] as const
    const all = new Map(places.map(([name, place]) => [name, measure(place, sizes)]))
    rmSync(local, { recursive: true, force: true })
    const [half, most] = visible(a, b, 200)
    const told = { sizes, mountMs, visibleMs: { p50: half, p99: most }, rates: Object.fromEntries(all) }
    const seen = `seen on another host: ${half.toFixed(1)} ms p50, ${most.toFixed(1)} ms p99`
    const text = `${printed(all)}\n\nmount: ${Math.round(mountMs)} ms; ${seen}`
    process.stdout.write(`${args.includes("--json") ? JSON.stringify(told, null, 2) : text}\n`)
  } finally {
    await hosts.end()
    await peer?.end()
    await kill(node)
    cleanUp()
  }
}
