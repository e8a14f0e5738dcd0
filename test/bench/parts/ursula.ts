/** Ursula as a peer of the streams bench: one node of it, its log on disk or in memory, from a binary that is given. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { freePorts } from "../../real/child.ts"

export interface Peer {
  readonly name: string
  readonly url: string
  /** Its streams lie in buckets at the root. */
  readonly under: string
  readonly pid: number
  readonly stop: () => Promise<void>
}

const patienceMs = 20_000

const configOf = (port: number, directory: string, log: "disk" | "memory"): string => `
[server]
listen = "127.0.0.1:${port}"
[runtime]
core_count = 2
[raft]
node_id = 1
group_count = 16
init_membership_per_group = true
[raft.wal]
backend = "${log}"
${log === "disk" ? `path = "${directory}/log"` : ""}
[storage.cold]
backend = "none"
[storage.snapshot]
backend = "inline"
`

/** Every group has to have elected its leader: one stream after another is tried until so many were made in a row. */
const isUp = async (url: string): Promise<boolean> => {
  for (let n = 0; n < 64; n++) {
    const made = await fetch(`${url}/bench/up-${n}`, { method: "PUT", headers: { "content-type": "text/plain" } })
    if (!made.ok) return false
  }
  return true
}

export const ursula = async (binary: string, directory: string, log: "disk" | "memory"): Promise<Peer> => {
  const [port = 0] = await Effect.runPromise(freePorts(1))
  const config = join(directory, "ursula.toml")
  writeFileSync(config, configOf(port, directory, log))
  const child = spawn(binary, ["server", "--config", config], { stdio: "ignore", cwd: directory })
  const url = `http://127.0.0.1:${port}`
  for (const until = performance.now() + patienceMs; !(await isUp(url).catch(() => false)); ) {
    if (child.exitCode !== null || performance.now() > until) throw new Error("ursula did not come up")
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM")
    if (child.exitCode === null) await once(child, "exit")
  }
  return {
    name: `ursula, log ${log === "disk" ? "on disk" : "in memory"}`,
    url,
    under: "/bench/",
    pid: child.pid ?? 0,
    stop
  }
}
