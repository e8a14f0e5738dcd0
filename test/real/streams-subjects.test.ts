/** Live records over NATS: a subject for each stream, which the keys of its organisation alone may listen to. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { connect, credsAuthenticator, type Msg, type NatsConnection } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, run, stop, type Up, up } from "./command.ts"

let node: Up
const keys: Record<string, string> = {}
const opened: Array<NatsConnection> = []

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--streams-open", "no"]
  node = await up(freshPath(), ...free, "--stream-subjects")
  keys["local"] = readFileSync(join(node.data, "admin.token"), "utf8").trim()
  await node.run("--org", "acme", "org", "create")
  keys["acme"] = ((await node.json("--org", "acme", "key", "issue")) as { readonly token: string }).token
}, 60_000)

afterAll(async () => {
  for (const each of opened) await each.close()
  await stop(node)
  cleanUp()
})

/** What comes on a subject, and what the broker says when it may not be listened to. */
const listen = async (org: string, subject: string) => {
  const [, , key] = (keys[org] ?? "").split("_")
  const nats = await connect({ servers: node.nats, token: keys[org] ?? "", inboxPrefix: `_INBOX.key-${key}` })
  opened.push(nats)
  const heard: Array<Msg> = []
  const errors: Array<string> = []
  nats.subscribe(subject, {
    callback: (error, message) => void (error ? errors.push(error.message) : heard.push(message))
  })
  await nats.flush()
  return { heard, errors }
}

const send = (
  org: string,
  method: string,
  path: string,
  body?: string | Uint8Array<ArrayBuffer>,
  type = "text/plain"
) =>
  fetch(`${node.http}/ds/${path}`, {
    method,
    headers: { authorization: `Bearer ${keys[org]}`, "content-type": type },
    ...(body !== undefined && { body })
  })

const eventually = async (isSo: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 1_000 && !isSo(); tries++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(isSo()).toBe(true)
}

/** The same with credentials of a file, as a NATS server takes them. */
const listenWith = async (args: ReadonlyArray<string>, subject: string) => {
  const { creds, inbox } = (await run("--server", node.http, "--json", ...args).then(({ stdout }) =>
    JSON.parse(stdout)
  )) as {
    readonly creds: string
    readonly inbox: string
  }
  const authenticator = credsAuthenticator(Buffer.from(creds))
  const nats = await connect({ servers: node.nats, authenticator, inboxPrefix: inbox })
  opened.push(nats)
  const heard: Array<string> = []
  const errors: Array<string> = []
  nats.subscribe(subject, {
    callback: (error, { data }) => void (error ? errors.push(error.message) : heard.push(`${data}`))
  })
  await nats.flush()
  return { nats, heard, errors }
}

describe("subjects of streams", () => {
  it("are heard with credentials for a part of them, which can do nothing else", async () => {
    const acme = ["--token", keys["acme"] ?? "", "stream", "credentials", "some/one"]
    const one = await listenWith(acme, "art.v1.tail.acme.some.one.>")
    const other = await listenWith(acme, "art.v1.tail.acme.some.two")
    for (const name of ["one/a", "two"]) {
      await send("acme", "PUT", `some/${name}`)
      await send("acme", "POST", `some/${name}`, name)
    }
    await eventually(() => one.heard.length === 1)
    expect(other.heard).toEqual([])
    expect(other.errors.join()).toMatch(/permission/i)
    await expect(one.nats.request("art.v1.ask.account.any.acme.admin.Where", "", { timeout: 500 })).rejects.toThrow()
    const wrong = await run("--server", node.http, "--token", keys["acme"] ?? "", "stream", "credentials", "@zeta/x")
    expect(wrong).toMatchObject({ code: 1 })
    expect((await run("--server", node.http, "stream", "credentials")).stderr).toContain("API key")
  })

  it("carry what is appended, with its place, to its own organisation alone", async () => {
    const mine = await listen("acme", "art.v1.tail.acme.runs.>")
    const one = await listen("acme", "art.v1.tail.acme.runs.4%2E2.events")
    const theirs = await listen("acme", "art.v1.tail.local.>")
    const events = await listen("acme", "art.v1.on.stream-partition.*.*")
    for (const org of ["acme", "local"]) {
      await send(org, "PUT", "runs/4.2/events", undefined, "application/json")
      await send(org, "PUT", "runs/bytes", undefined, "application/octet-stream")
      await send(org, "POST", "runs/4.2/events", `[{"of":"${org}"},2]`, "application/json")
      await send(org, "POST", "runs/bytes", new Uint8Array([0, 255, 10]), "application/octet-stream")
      await send(
        org,
        "POST",
        "runs/bytes",
        Buffer.alloc(600_000) as Uint8Array<ArrayBuffer>,
        "application/octet-stream"
      )
    }
    await eventually(() => mine.heard.length === 3)
    const [json, bytes, large] = mine.heard
    expect(json?.json()).toEqual([{ of: "acme" }, 2])
    expect(json?.headers?.get("Content-Type")).toBe("application/json")
    expect([...(bytes?.data ?? [])]).toEqual([0, 255, 10])
    expect(bytes?.headers?.get("Stream-Next-Offset")).toBe("0000000000000000_0000000000000003")
    expect(large?.headers?.get("Stream-Omitted")).toBe("true")
    expect(one.heard.map(({ subject }) => subject)).toEqual(["art.v1.tail.acme.runs.4%2E2.events"])
    expect([...theirs.heard, ...events.heard]).toEqual([])
    for (const { errors } of [theirs, events]) expect(errors.join()).toMatch(/permission/i)
  })
})
