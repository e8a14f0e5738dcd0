/** One file, changed at random by call and by mapping on one host and compared on another; whoever serves it dies. */
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Hosts, noMounts } from "./mounts.ts"
import { saying } from "./saying.ts"

const why = noMounts()
if (why !== undefined) console.log(`random changes of a file on a mount are not tested: ${why}`)

const patientMs = 240_000
/** A window that lies over the edge of a chunk. */
const overEdge = String(64 * 1024 * 1024 - 100_000)

const program = new URL("./fsx", import.meta.url).pathname
const fsx = (...args: ReadonlyArray<string>) => saying(program, args)

describe.skipIf(why !== undefined)("a file that is changed at random", () => {
  let hosts: Hosts
  let a: string
  let b: string

  beforeAll(async () => {
    hosts = new Hosts()
    ;[a, b] = await hosts.beginTwo()
  }, patientMs)

  afterAll(() => hosts.end(), patientMs)

  it("is what it was made, over the edge of a chunk", { timeout: patientMs }, async () => {
    const { code, said } = await fsx(join(a, "edge"), "--seed", "1", "--ops", "400", "--base", overEdge)
    expect(said).toContain('"ops": 400')
    expect(code).toBe(0)
  })

  it("is so on another host too, and when its process is killed", { timeout: patientMs }, async () => {
    const running = fsx(join(a, "file"), "--seed", "2", "--seconds", "12", "--other", join(b, "file"))
    for (let kills = 0; kills < 2; kills++) {
      await new Promise((resolve) => setTimeout(resolve, 4_000))
      process.kill(hosts.sidecar(a), "SIGKILL")
    }
    const { code, said } = await running
    expect(said).toContain('"ops"')
    expect(code).toBe(0)
  })
})
