/** What a mount does while something is away: the node, its session, the object store. */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePorts } from "./child.ts"
import { kill } from "./command.ts"
import { Hosts, noMounts } from "./mounts.ts"
import { saying } from "./saying.ts"

const why = noMounts()
if (why !== undefined) console.log(`outages under a mount are not tested: ${why}`)

const patientMs = 60_000
/** The session of the host lives for so many seconds; programs wait for half of them before they are told EIO. */
const expires = 10

const inShell = (directory: string, line: string) => saying("sh", ["-c", line], directory)

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.skipIf(why !== undefined)("a mount, while", () => {
  let hosts: Hosts
  let a: string
  let ports: ReadonlyArray<string>

  beforeAll(async () => {
    hosts = new Hosts()
    const [http, nats] = await Effect.runPromise(freePorts(2))
    ports = ["--http", `127.0.0.1:${http}`, "--nats", `127.0.0.1:${nats}`]
    await hosts.begin(ports)
    a = await hosts.mount("demo", "a", "--expires", `${expires}`)
  }, patientMs)

  afterAll(() => hosts.end(), patientMs)

  /** What `artifacts status` says of it. */
  const healthOf = async (directory: string): Promise<string> => {
    const { stdout } = await hosts.run("status", "--json")
    const { mounts } = JSON.parse(stdout) as { readonly mounts: ReadonlyArray<Record<string, string>> }
    return mounts.find((mount) => mount["directory"] === directory)?.["health"] ?? "unknown"
  }

  it(
    "the object store is away, reads what it has, lets writers wait, and loses nothing",
    async () => {
      writeFileSync(join(a, "kept"), "cached")
      const store = join(hosts.data, "objects")
      renameSync(store, `${store}.away`)
      writeFileSync(store, "")
      const waiting = inShell(a, "echo written while it was away > late && cat late")
      await pause(2000)
      expect(readFileSync(join(a, "kept"), "utf8")).toBe("cached")
      expect(await healthOf(a)).toBe("unstored")
      execFileSync("rm", ["-f", store])
      renameSync(`${store}.away`, store)
      expect(await waiting).toEqual({ code: 0, said: "written while it was away\n" })
      await expect.poll(() => healthOf(a), { timeout: 10_000 }).toBe("mounted")
    },
    patientMs
  )

  it(
    "the object store is away, lets readers wait for what it does not have, and gives it to them",
    async () => {
      const b = await hosts.mount("demo", "b")
      writeFileSync(join(a, "uncached"), "not on host b")
      const store = join(hosts.data, "objects")
      while (!existsSync(join(b, "uncached"))) await pause(20)
      renameSync(store, `${store}.away`)
      writeFileSync(store, "")
      const reading = inShell(b, "cat uncached")
      await pause(1500)
      execFileSync("rm", ["-f", store])
      renameSync(`${store}.away`, store)
      expect(await reading).toEqual({ code: 0, said: "not on host b" })
      expect((await hosts.unmount(b)).code).toBe(0)
    },
    patientMs
  )

  it(
    "the node hangs, serves what it knows, refuses in time what it cannot do, and goes on with the node",
    async () => {
      writeFileSync(join(a, "known"), "before it hung")
      process.kill(hosts.node.pid, "SIGSTOP")
      expect(readFileSync(join(a, "known"), "utf8")).toBe("before it hung")
      expect(readdirSync(a)).toContain("known")
      const began = performance.now()
      const { code, said } = await inShell(a, "ln known hung")
      expect([code === 0, said]).toEqual([false, expect.stringMatching(/Input\/output error/)])
      expect(performance.now() - began).toBeLessThan(expires * 1000)
      process.kill(hosts.node.pid, "SIGCONT")
      expect(await inShell(a, "mkdir well && echo on > well/file && cat well/file")).toEqual({ code: 0, said: "on\n" })
    },
    patientMs
  )

  it(
    "the node is away, serves what it knows, and refuses what it cannot do",
    async () => {
      writeFileSync(join(a, "before"), "the outage")
      await kill(hosts.node)
      await pause(300)
      expect(readFileSync(join(a, "before"), "utf8")).toBe("the outage")
      expect(readdirSync(a)).toContain("before")
      expect(statSync(join(a, "before")).size).toBe(10)
      await expect.poll(() => healthOf(a), { timeout: 10_000 }).toBe("behind")
      const began = performance.now()
      const { code, said } = await inShell(a, "ln before new")
      expect(code).not.toBe(0)
      expect(said).toMatch(/Input\/output error/)
      expect(performance.now() - began).toBeLessThan(expires * 1000)
      // A new mount would know nothing at all: it says why it is none.
      const { code: refused, stderr } = await hosts.run("mount", "demo", join(hosts.root, "new"))
      expect(refused).not.toBe(0)
      expect(stderr).toMatch(/node|127\.0\.0\.1/)
    },
    patientMs
  )

  it(
    "the node was away for longer than a session lives, goes on with another one",
    async () => {
      await pause((expires + 2) * 1000)
      await hosts.start(ports)
      expect(await inShell(a, "echo again > after && cat after before")).toEqual({ code: 0, said: "again\nthe outage" })
      expect(existsSync(join(a, "after"))).toBe(true)
    },
    patientMs
  )
})
