/** The data directory: made whole or not at all, held by one, and read by others. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { parseCreds, readUserJwt } from "../../adapters/nats/credentials.ts"
import { openDataDir, readDataDir } from "../../runtime/node/datadir.ts"
import { leaveNotice, readNotice } from "../../runtime/node/notice.ts"

const parent = mkdtempSync(join(tmpdir(), "artifacts-datadir-"))
afterAll(() => rmSync(parent, { recursive: true, force: true }))
let count = 0
const fresh = (): string => join(parent, `d${count++}`)

const opened = (path: string, shards?: number) =>
  Effect.runPromise(Effect.scoped(openDataDir(path, "1.2.3", shards)).pipe(Effect.flip, Effect.catch(Effect.succeed)))

describe("a data directory", () => {
  it("is made once, and found the same again", async () => {
    const path = fresh()
    const first = await Effect.runPromise(Effect.scoped(openDataDir(path, "1.2.3", 7)))
    expect(first).toMatchObject({ path, shards: 7, isNew: true })
    const again = await Effect.runPromise(Effect.scoped(openDataDir(path, "1.2.3")))
    expect(again).toMatchObject({ shards: 7, isNew: false })
    expect(again.secrets.operator.seed).toBe(first.secrets.operator.seed)
    const read = await Effect.runPromise(readDataDir(path, "1.2.3"))
    expect(read?.secrets.account.publicKey).toBe(first.secrets.account.publicKey)
    expect(readdirSync(path).filter((name) => name.endsWith(".new"))).toEqual([])
  })

  it("gives the administrator subjects of its own name and its own inbox, signed by the account", async () => {
    const path = fresh()
    const { secrets } = await Effect.runPromise(Effect.scoped(openDataDir(path, "1.2.3")))
    const creds = parseCreds(readFileSync(join(path, "admin.creds"), "utf8"))
    const claims = readUserJwt(creds?.jwt ?? "")
    expect(claims).toMatchObject({ name: "admin", iss: secrets.account.publicKey })
    expect(claims?.nats.pub?.allow).toEqual(["art.v1.do.*.*.*.admin.>", "art.v1.ask.*.*.*.admin.>"])
    expect(claims?.nats.sub?.allow).toEqual([`_INBOX.${claims?.sub}.>`, "art.v1.on.>", "art.v1.tail.>"])
    expect(statSync(join(path, "admin.creds")).mode & 0o777).toBe(0o600)
  })

  it("is not there before it was made", async () => {
    expect(await Effect.runPromise(readDataDir(fresh(), "1.2.3"))).toBeUndefined()
  })

  it("belongs to one at a time", async () => {
    const path = fresh()
    const refused = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          yield* openDataDir(path, "1.2.3")
          return yield* Effect.flip(openDataDir(path, "1.2.3"))
        })
      )
    )
    expect(refused.why).toBe(`the data directory ${path} is in use by the process ${process.pid}`)
    expect(await opened(path)).toMatchObject({ shards: 16 })
  })

  it("names what is damaged", async () => {
    const path = fresh()
    await opened(path, 3)
    for (const [name, text, why] of [
      ["version", "one", 'is damaged: it says "one"'],
      ["shards", "many", 'is damaged: it says "many"'],
      ["operator.seed", "SOAAAA", "is damaged: it holds no operator seed"]
    ] as const) {
      const before = readFileSync(join(path, name), "utf8")
      writeFileSync(join(path, name), text)
      expect(await opened(path)).toMatchObject({ _tag: "CannotStart", why: `${join(path, name)} ${why}` })
      writeFileSync(join(path, name), before)
    }
    expect(await opened(path)).toMatchObject({ shards: 3 })
  })

  it("that cannot be one is refused with its name", async () => {
    const path = fresh()
    writeFileSync(path, "")
    expect(await opened(path)).toMatchObject({
      _tag: "CannotStart",
      why: expect.stringContaining(`the data directory ${path} cannot be used: EEXIST`),
      next: "choose another one with --data"
    })
  })
})

describe("a notice", () => {
  it("lies there while the node runs, and a damaged one is none", async () => {
    const path = fresh()
    await opened(path)
    const notice = { pid: 1, node: "n", version: "1.2.3", nats: "nats://a:1", http: "http://a:2", shards: 16 }
    const during = await Effect.runPromise(Effect.scoped(Effect.map(leaveNotice(path, notice), () => readNotice(path))))
    expect(during).toEqual(notice)
    expect(readNotice(path)).toBeUndefined()
    writeFileSync(join(path, "node.json"), '{"pid":')
    expect(readNotice(path)).toBeUndefined()
  })
})
