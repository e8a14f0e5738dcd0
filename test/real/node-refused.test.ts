/** What a node does not start on, what it does about ports that are taken, and what damage stops. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, kill, run, stop, up } from "./command.ts"

afterAll(cleanUp)

const occupied = (port: number): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(port, "127.0.0.1", () => resolve(server))
  })

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

describe("a data directory", () => {
  it("is refused when a newer version wrote it, or another program, or with another number of shards", async () => {
    const data = freshPath()
    const first = await up(data, "--shards", "4", "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0")
    expect(first.told().stdout).toContain("4 of 4 served here")
    await stop(first)
    const shards = await run("up", "--data", data, "--shards", "8")
    expect(shards).toMatchObject({ code: 1, stdout: "" })
    expect(shards.stderr).toContain(`--shards 8: ${data} was made with 4 shards, and that cannot change`)
    writeFileSync(join(data, "version"), "2\n")
    const newer = await run("up", "--data", data)
    expect(newer).toMatchObject({ code: 1 })
    expect(newer.stderr).toContain(`${data} has format 2, and artifacts 0.1.0 knows formats up to 1`)
    expect(readFileSync(join(data, "version"), "utf8")).toBe("2\n")

    const strange = freshPath()
    mkdirSync(strange)
    writeFileSync(join(strange, "thesis.doc"), "")
    const refused = await run("up", "--data", strange)
    expect(refused).toMatchObject({ code: 1 })
    expect(refused.stderr).toContain("it is not empty: it holds thesis.doc")
    expect(existsSync(join(strange, "operator.seed"))).toBe(false)
  })

  it("is refused with a store that is not its own, empty or another's", async () => {
    const [one, two] = [freshPath(), freshPath()]
    const ports = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
    await stop(await up(one, ...ports))
    const empty = await run("up", "--data", one, ...ports, "--objects", `file://${freshPath()}`)
    expect(empty).toMatchObject({ code: 1, stdout: "" })
    expect(empty.stderr).toContain("is not the one that this installation began with: it has no system/installation")
    const others = await run("up", "--data", two, ...ports, "--objects", `file://${join(one, "objects")}`)
    expect(others).toMatchObject({ code: 1, stdout: "" })
    expect(others.stderr).toMatch(/belongs to another installation, A[A-Z2-7]{55}; this one is A[A-Z2-7]{55}\n/)
    await stop(await up(one, ...ports))
  })

  it("goes on from a first start that was cut short", async () => {
    const data = freshPath()
    mkdirSync(data)
    writeFileSync(join(data, "shards"), "2\n")
    writeFileSync(join(data, "operator.seed.new"), "half a se")
    const node = await up(data)
    expect(node.told().stdout).toContain("2 of 2 served here")
    await stop(node)
  })

  it("gives itself to one of two nodes that start at the same moment", async () => {
    const data = freshPath()
    const ports = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
    const both = await Promise.allSettled([up(data, ...ports), up(data, ...ports)])
    const [winner, ...others] = both.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []))
    const [loser] = both.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []))
    expect(others).toEqual([])
    expect(loser).toContain("is in use by")
    if (winner !== undefined) expect(await winner.run("workspace", "create", "one")).toMatchObject({ code: 0 })
    if (winner !== undefined) await stop(winner)
  })
})

describe("a port that is taken", () => {
  it("is refused when it was asked for", async () => {
    const taken = await occupied(0)
    const address = `127.0.0.1:${portOf(taken)}`
    for (const flags of [
      ["--nats", address, "--http", "127.0.0.1:0"],
      ["--http", address, "--nats", "127.0.0.1:0"]
    ]) {
      const refused = await run("up", "--data", freshPath(), ...flags)
      expect(refused).toMatchObject({ code: 1, stdout: "" })
      const what = flags[0] === "--nats" ? "the broker" : "HTTP"
      const why = "another process listens there already"
      expect(refused.stderr).toContain(
        `artifacts: ${what} cannot listen on ${address}: ${why}\n  choose another with ${flags[0]}`
      )
    }
    taken.close()
  })

  it("is passed over for a free one when it is merely the usual one", async () => {
    const mine = await Promise.all([occupied(4222), occupied(8080)].map((each) => each.catch(() => undefined)))
    const node = await up(freshPath(), "--log-level", "info")
    expect(node.nats).not.toContain(":4222")
    expect(node.http).not.toContain(":8080")
    expect(await node.run("status")).toMatchObject({ code: 0 })
    await stop(node)
    for (const server of mine) server?.close()
  })

  it("is no usage error to name wrongly without being told so", async () => {
    expect(await run("up", "--data", freshPath(), "--http", "nowhere")).toMatchObject({
      code: 2,
      stderr: "artifacts: --http nowhere is no address\n  say HOST:PORT, for example --http 127.0.0.1:0\n"
    })
    expect(await run("up", "--data", freshPath(), "--objects", "ftp://x")).toMatchObject({ code: 1 })
  })
})

/** Changes one letter of an entry in the journal, behind the back of every checksum. */
const damage = (data: string, text: string): number => {
  const database = new DatabaseSync(join(data, "journal.sqlite"))
  const rows = database.prepare("SELECT place, frame FROM frames").all() as Array<{ place: number; frame: Uint8Array }>
  let changed = 0
  for (const { place, frame } of rows) {
    const at = Buffer.from(frame).indexOf(text)
    if (at < 0) continue
    const bytes = Buffer.from(frame)
    bytes[at] = (bytes[at] as number) ^ 1
    database.prepare("UPDATE frames SET frame = ? WHERE place = ?").run(bytes, place)
    changed += 1
  }
  database.close()
  return changed
}

describe("a damaged entry", () => {
  it("stops its actor alone, which is named with the place in the log; all others go on", async () => {
    const data = freshPath()
    let node = await up(data, "--shards", "1", "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0")
    await node.run("org", "create", "--org", "victim", "--title", "Doomed")
    await node.run("org", "create", "--org", "other")
    await kill(node)
    expect(damage(data, "Doomed")).toBe(1)
    node = await up(data)
    expect(await node.json("--org", "victim", "org", "show")).toMatchObject({
      error: {
        code: "Corrupt",
        message: expect.stringMatching(
          /^account\/victim is stopped, for its log is damaged at .*journal\.sqlite shard 0/
        ),
        details: { position: expect.any(Number) }
      }
    })
    const told = await node.run("--org", "victim", "workspace", "create", "w")
    expect(told).toMatchObject({ code: 1 })
    expect(told.stderr).toContain("nothing is skipped")
    expect(await node.run("--org", "other", "workspace", "create", "w")).toMatchObject({ code: 0 })
    expect(await node.run("workspace", "create", "w")).toMatchObject({ code: 0 })
    const { stderr } = await stop(node)
    expect(stderr).toContain('"message":"account/victim is stopped"')
  })
})
