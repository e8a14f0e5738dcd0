/**
 * Programs that unpack, copy and remove trees, on a mount, in a local directory and on a peer, a row at a time:
 * `npm run bench -- trees [--files N] [--only ROW] [--juicefs BINARY --redis BINARY] [--json]`
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { cleanUp, kill, up } from "../real/command.ts"
import { Hosts, noMounts } from "../real/mounts.ts"
import { juicefsOf } from "./parts/juicefs.ts"

const ports = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
const filesOfDirectory = 100
const usual = 2_000

const run = (program: string, ...args: ReadonlyArray<string>): void => {
  execFileSync(program, args, { stdio: "pipe" })
}

/** What the programs take from: a tree of files of 1 to 4 KiB, the same in an archive, and as a repository. */
interface Source {
  readonly tree: string
  readonly archive: string
  readonly repository: string
}

const sourceOf = (root: string, files: number): Source => {
  const source = { tree: join(root, "tree"), archive: join(root, "tree.tar"), repository: join(root, "repository") }
  const bytes = Buffer.alloc(4096, "artifacts ")
  for (let at = 0; at < files; at++) {
    const directory = join(source.tree, `d${Math.floor(at / filesOfDirectory)}`)
    if (at % filesOfDirectory === 0) mkdirSync(directory, { recursive: true })
    const own = Buffer.from(`${at} `)
    const length = 1024 + ((at * 7919) % 3072)
    writeFileSync(join(directory, `f${at % filesOfDirectory}`), Buffer.concat([own, bytes.subarray(0, length)]), {
      mode: at % 10 === 0 ? 0o755 : 0o640
    })
  }
  run("tar", "-C", root, "-cf", source.archive, "tree")
  const git = (...args: ReadonlyArray<string>) => run("git", "-C", source.tree, ...args)
  run("git", "init", "-q", "--bare", source.repository)
  const places = ["--git-dir", source.repository, "--work-tree", source.tree]
  git(...places, "add", ".")
  git(...places, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "tree")
  return source
}

interface Row {
  readonly name: string
  readonly work: (under: string, source: Source) => void
}

/** Each finds the directories that it makes missing; those that are removed are from the rows before. */
const rows: ReadonlyArray<Row> = [
  {
    name: "tar x -p",
    work: (under, { archive }) => {
      mkdirSync(join(under, "tar"))
      run("tar", "-C", join(under, "tar"), "-xpf", archive)
    }
  },
  { name: "cp -r", work: (under, { tree }) => run("cp", "-r", tree, join(under, "copy")) },
  { name: "cp -a", work: (under, { tree }) => run("cp", "-a", tree, join(under, "archive")) },
  { name: "rsync -a", work: (under, { tree }) => run("rsync", "-a", `${tree}/`, join(under, "rsync")) },
  {
    name: "git clone",
    work: (under, { repository }) => run("git", "clone", "-q", "--no-local", repository, join(under, "clone"))
  },
  { name: "chmod -R", work: (under) => run("chmod", "-R", "g+w", join(under, "copy")) },
  { name: "rm -rf", work: (under) => run("rm", "-rf", join(under, "copy")) }
]

const flag = (args: ReadonlyArray<string>, name: string): string | undefined => {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args[at + 1]
}

type Rates = Readonly<Record<string, Readonly<Record<string, number>>>>

const measure = (places: Readonly<Record<string, string>>, source: Source, files: number, only = ""): Rates => {
  const under = Object.entries(places).map(([name, root]) => [name, mkdtempSync(join(root, "trees-"))] as const)
  // What is removed has to have been copied.
  const chosen = rows.filter(({ name }) => name.startsWith(only))
  return Object.fromEntries(
    chosen.map(({ name, work }) => {
      const rates = under.map(([place, at]) => {
        const began = performance.now()
        work(at, source)
        return [place, Math.round((files / (performance.now() - began)) * 1000)] as const
      })
      return [name, Object.fromEntries(rates)]
    })
  )
}

const printed = (rates: Rates): string =>
  Object.entries(rates)
    .map(([row, of]) => {
      const cells = Object.entries(of).map(([place, rate]) => `${place} ${rate} files/s`.padStart(28))
      return `${row.padEnd(12)}${cells.join("")}`
    })
    .join("\n")

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const why = noMounts()
  if (why !== undefined) throw new Error(why)
  const files = Number(flag(args, "--files") ?? usual)
  const root = mkdtempSync(join(tmpdir(), "artifacts-trees-"))
  const hosts = new Hosts()
  const node = await up(hosts.data, ...ports)
  const peer = await juicefsOf(args)
  try {
    const source = sourceOf(root, files)
    await hosts.run("workspace", "create", "bench")
    const artifacts = await hosts.mount("bench", "a")
    const local = join(hosts.root, "local")
    mkdirSync(local)
    const places = { local, artifacts, ...(peer === undefined ? {} : { juicefs: peer.directory }) }
    const rates = measure(places, source, files, flag(args, "--only"))
    process.stdout.write(`${args.includes("--json") ? JSON.stringify({ files, rates }) : printed(rates)}\n`)
  } finally {
    await hosts.end()
    await peer?.end()
    await kill(node)
    cleanUp()
    rmSync(root, { recursive: true, force: true })
  }
}
