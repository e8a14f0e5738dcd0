/** Workspaces mounted for a test, each directory a host of its own: what they need, and how they are cleaned away. */
import { execFileSync } from "node:child_process"
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { cleanUp, kill, type Outcome, start, type Up, up } from "./command.ts"

/** Why nothing can be mounted here, or undefined. */
export const noMounts = (): string | undefined => {
  if (process.platform !== "linux") return "mounts need Linux"
  if (process.geteuid?.() !== 0) return "the mounts are made as root"
  try {
    closeSync(openSync("/dev/fuse", "r+"))
    return undefined
  } catch (error) {
    return `/dev/fuse cannot be opened: ${(error as Error).message}`
  }
}

const anyPorts = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]

export class Hosts {
  readonly root = mkdtempSync(join(tmpdir(), "artifacts-mount-"))
  readonly data = join(this.root, "data")
  private readonly env = { XDG_STATE_HOME: join(this.root, "state"), XDG_CACHE_HOME: join(this.root, "cache") }
  private readonly directories = new Set<string>()
  private started: Up | undefined

  /** The node that all of them mount from, and which is killed in the end. */
  get node(): Up {
    if (this.started === undefined) throw new Error("no node was started for these hosts")
    return this.started
  }

  async start(ports: ReadonlyArray<string> = anyPorts): Promise<void> {
    this.started = await up(this.data, ...ports, "--durability", "process")
  }

  /** Starts the node, and makes the workspace `demo`. */
  async begin(ports?: ReadonlyArray<string>): Promise<void> {
    await this.start(ports)
    await this.run("workspace", "create", "demo")
  }

  /** Starts the node, and mounts `demo` twice: the flags are those of the first. */
  async beginTwo(...flags: ReadonlyArray<string>): Promise<readonly [string, string]> {
    await this.begin()
    return [await this.mount("demo", "a", ...flags), await this.mount("demo", "b")]
  }

  run(...args: ReadonlyArray<string>): Promise<Outcome> {
    return start(["--data", this.data, ...args], "", this.env).ended
  }

  give(input: string, ...args: ReadonlyArray<string>): Promise<Outcome> {
    return start(["--data", this.data, ...args], input, this.env).ended
  }

  /** Mounts, and gives the directory. */
  async mount(workspace: string, name: string, ...flags: ReadonlyArray<string>): Promise<string> {
    const directory = join(this.root, name)
    mkdirSync(directory, { recursive: true })
    // A test that is tried again begins anew.
    await this.forceOff(directory)
    this.directories.add(directory)
    const { code, stderr } = await this.run("mount", workspace, directory, ...flags)
    if (code !== 0) throw new Error(stderr)
    return directory
  }

  unmount(directory: string): Promise<Outcome> {
    return this.run("unmount", directory)
  }

  /** The process that serves a directory now: the child of the one that holds it. */
  sidecar(directory: string): number {
    const records = readdirSync(join(this.env.XDG_STATE_HOME, "artifacts", "mounts"))
      .filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readFileSync(join(this.env.XDG_STATE_HOME, "artifacts", "mounts", name), "utf8")))
    const { pid } = records.find((record) => record.directory === directory) as { pid: number }
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
    const child = children
      .map(Number)
      .find((each) => readFileSync(`/proc/${each}/cmdline`, "utf8").includes("serving.ts"))
    if (child === undefined) throw new Error(`nobody serves ${directory}`)
    return child
  }

  log(): string {
    const state = join(this.env.XDG_STATE_HOME, "artifacts", "mounts")
    return readdirSync(state)
      .filter((name) => name.endsWith(".log"))
      .map((name) => readFileSync(join(state, name), "utf8"))
      .join("\n")
  }

  private async forceOff(directory: string): Promise<void> {
    if (!readFileSync("/proc/self/mountinfo", "utf8").includes(` ${directory} `)) return
    const { code } = await this.run("unmount", "--force", directory)
    if (code !== 0) execFileSync("umount", ["-l", directory])
  }

  /** Nothing of a test stays mounted, whatever became of it. */
  async end(): Promise<void> {
    await Promise.all([...this.directories].map((directory) => this.forceOff(directory)))
    if (this.started !== undefined) {
      await kill(this.started)
      cleanUp()
    }
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
  }
}
