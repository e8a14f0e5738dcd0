/** What tests of other people's programs on mounts share: a node, two mounts of one workspace, and the programs. */
import { type ExecFileSyncOptions, execFileSync, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Hosts, noMounts } from "./mounts.ts"

export const patientMs = 240_000

/** Why the programs cannot be tried here, which is said once; undefined when they can. */
export const without = (what: string, ...programs: ReadonlyArray<string>): string | undefined => {
  const missing = programs.filter((program) => spawnSync("which", [program]).status !== 0)
  const why = noMounts() ?? (missing.length > 0 ? `there is no ${missing.join(", no ")}` : undefined)
  if (why !== undefined) console.log(`${what} on a mount is not tried: ${why}`)
  return why
}

/** Two hosts' mounts of one workspace, and a local directory beside them. */
export class Ground {
  readonly hosts = new Hosts()
  readonly local = mkdtempSync(join(tmpdir(), "artifacts-apps-"))
  a = ""
  b = ""

  async begin(...flags: ReadonlyArray<string>): Promise<void> {
    await this.hosts.begin()
    this.a = await this.hosts.mount("demo", "a", ...flags)
    this.b = await this.hosts.mount("demo", "b", ...flags)
  }

  async end(): Promise<void> {
    await this.hosts.end()
    rmSync(this.local, { recursive: true, force: true })
  }
}

/** Runs a program to its end, and gives what it said; what went wrong is said with what it complained of. */
export const run = (cwd: string, program: string, ...args: ReadonlyArray<string>): string => {
  const options: ExecFileSyncOptions = { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: patientMs }
  try {
    return execFileSync(program, args, options) as string
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args.join(" ")}: ${(error as Error).message}\n${stdout}\n${stderr}`)
  }
}

export const python = (cwd: string, program: string, ...args: ReadonlyArray<string>): string =>
  run(cwd, "python3", "-c", program, ...args)

/** The same, several at once. */
export const together = (cwd: string, program: string, all: ReadonlyArray<ReadonlyArray<string>>): Promise<void> =>
  Promise.all(
    all.map(
      (args) =>
        new Promise<void>((resolve, reject) => {
          const child = spawn(program, args, { cwd, stdio: ["ignore", "ignore", "pipe"] })
          let said = ""
          child.stderr.on("data", (part) => {
            said += part
          })
          child.once("error", reject)
          child.once("close", (code) =>
            code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}: ${said}`))
          )
        })
    )
  ).then(() => undefined)

/** Counters that a mount tells of itself. */
export const stats = (mount: string): ReadonlyMap<string, number> =>
  new Map(
    readFileSync(join(mount, ".stats"), "utf8")
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .map(([name = "", value]) => [name.replace(/^artifacts_/, ""), Number(value)] as const)
  )

/** What is not there yet has not been seen either. */
const isSeen = (isSo: () => boolean): boolean => {
  try {
    return isSo()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false
    throw error
  }
}

/** Waits until what was done on another host is to be seen. */
export const seen = async (what: string, isSo: () => boolean): Promise<void> => {
  for (const until = performance.now() + 10_000; !isSeen(isSo); ) {
    if (performance.now() > until) throw new Error(`${what} was not seen`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
