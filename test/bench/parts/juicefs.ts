/** JuiceFS over Redis as a peer: brought up beside the mounts that it is measured with, and taken down again. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { freePorts } from "../../real/child.ts"

export interface Peer {
  readonly directory: string
  readonly remount: () => Promise<void>
  readonly end: () => Promise<void>
}

const patienceMs = 20_000

const within = async (what: string, isSo: () => boolean): Promise<void> => {
  for (const until = performance.now() + patienceMs; !isSo(); ) {
    if (performance.now() > until) throw new Error(`${what} did not come up`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode === null ? new Promise((resolve) => child.once("exit", () => resolve())) : Promise.resolve()

const isMounted = (directory: string): boolean =>
  readFileSync("/proc/self/mountinfo", "utf8").includes(` ${directory} `)

/** Redis syncs each command to its disk, as our journal does, and removed files are gone at once. */
const redisFlags = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]

const answers = (redis: string, port: number): boolean => {
  try {
    const client = redis.replace(/redis-server$/, "redis-cli")
    return execFileSync(client, ["-p", `${port}`, "ping"], { encoding: "utf8", stdio: "pipe" }).trim() === "PONG"
  } catch {
    return false
  }
}

/** Formats a file system whose bytes are in a local directory, and mounts it. */
export const juicefs = async (binary: string, redis: string): Promise<Peer> => {
  const root = mkdtempSync(join(tmpdir(), "artifacts-peer-"))
  const [data, bucket, directory] = ["redis", "bucket", "mount"].map((name) => join(root, name)) as [
    string,
    string,
    string
  ]
  for (const each of [data, bucket, directory]) mkdirSync(each)
  const [port = 0] = await Effect.runPromise(freePorts(1))
  const url = `redis://127.0.0.1:${port}/1`
  const quiet = { stdio: "ignore", cwd: root } as const
  const server = spawn(redis, ["--port", `${port}`, "--dir", data, ...redisFlags], quiet)
  await within("Redis", () => answers(redis, port))
  const format = ["format", "--trash-days", "0", "--storage", "file", "--bucket", `${bucket}/`, url, "peer"]
  execFileSync(binary, format, { ...quiet, stdio: "pipe" })
  const cache = join(root, "cache")
  const mounting = ["mount", "--no-usage-report", "--cache-dir", cache, "--log", join(root, "log"), url, directory]
  const mounted = async (): Promise<ChildProcess> => {
    const client = spawn(binary, mounting, quiet)
    await within("JuiceFS", () => isMounted(directory))
    return client
  }
  let client = await mounted()
  const off = async (...how: ReadonlyArray<string>): Promise<void> => {
    if (isMounted(directory)) execFileSync("umount", [...how, directory])
    client.kill("SIGTERM")
    await ended(client)
  }
  return {
    directory,
    remount: async () => {
      await off()
      client = await mounted()
    },
    end: async () => {
      await off("-l")
      server.kill("SIGTERM")
      await ended(server)
      rmSync(root, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

const given = (args: ReadonlyArray<string>, flag: string): string | undefined => {
  const at = args.indexOf(flag)
  return at < 0 ? undefined : args[at + 1]
}

/** `--juicefs BINARY --redis BINARY`: the peer that was asked for, if any. */
export const juicefsOf = async (args: ReadonlyArray<string>): Promise<Peer | undefined> => {
  const binary = given(args, "--juicefs")
  return binary === undefined ? undefined : juicefs(binary, given(args, "--redis") ?? "redis-server")
}
