/** Commands that only nodes give, from outside: over HTTP with a key, over the bus with every credential. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type ConnectionOptions, connect, credsAuthenticator } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Access, passes } from "../../adapters/nats/broker/access.ts"
import { callerPermissions } from "../../adapters/nats/permissions.ts"
import { partitionIds } from "../../messages/stream.ts"
import { cleanUp, freshPath, stop, type Up, up } from "./command.ts"

const data = freshPath()
const shards = 16
const id = partitionIds(shards)[3] as string
const commands = {
  Seal: { object: `streams/${id}/segments/x`, sections: [] },
  ForgetObjects: { objects: [`streams/${id}/segments/x`] },
  PlanObjects: { objects: [`streams/${id}/x`], forMs: 1000 }
}
const subjectOf = (caller: string, name: string): string => `art.v1.do.stream-partition.3.${id}.${caller}.${name}`

let node: Up
beforeAll(async () => {
  node = await up(data)
})
afterAll(async () => {
  await stop(node)
  cleanUp()
})

/** The answer, or why there is none. */
const say = async (options: ConnectionOptions, inbox: string, caller: string, name: keyof typeof commands) => {
  const connection = await connect({ servers: node.nats, inboxPrefix: inbox, ...options })
  try {
    const body = JSON.stringify(commands[name])
    return (await connection.request(subjectOf(caller, name), body, { timeout: 10_000 })).json()
  } catch (error) {
    return String(error)
  } finally {
    await connection.close()
  }
}

describe("commands that only nodes give", () => {
  const token = () => readFileSync(join(data, "admin.token"), "utf8").trim()

  it("are not reached over HTTP, with whatever key", async () => {
    for (const [name, body] of Object.entries(commands)) {
      const response = await fetch(`${node.http}/v1/do/stream-partition/${id}/${name}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token()}` },
        body: JSON.stringify(body)
      })
      expect(response.status, name).toBe(404)
      expect(await response.text()).toContain("NoSuchKind")
    }
  })

  it("are kept from an API key by the broker, in its own name and in a node's", async () => {
    const caller = `key-${token().split("_")[2]}`
    for (const as of [caller, "node"])
      expect(await say({ token: token() }, `_INBOX.${caller}`, as, "Seal"), as).toMatch(/permission/i)
  })

  it("are refused to this host's administrator, who may say all else, and who is no node", async () => {
    const text = readFileSync(join(data, "admin.creds"), "utf8")
    const [, jwt = ""] = /-----BEGIN NATS USER JWT-----\n(.*)\n/.exec(text) ?? []
    const { sub } = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as { readonly sub: string }
    const options = { authenticator: credsAuthenticator(Buffer.from(text)) }
    for (const name of Object.keys(commands) as Array<keyof typeof commands>)
      expect(await say(options, `_INBOX.${sub}`, "admin", name)).toMatchObject({ refused: { _tag: "NotAllowed" } })
    expect(await say(options, `_INBOX.${sub}`, "node", "Seal")).toMatch(/permission/i)
  })

  it("are kept from a mount's session by what it may publish to", () => {
    const workspace = { kind: "workspace", shard: 5, id: "local_1", events: true }
    const access = new Access(callerPermissions("local_1-7f", "U", [workspace]), Date.now)
    expect(access.publish("art.v1.do.workspace.5.local_1.local_1-7f.Create")).toBe(passes)
    for (const caller of ["local_1-7f", "node", "outbox", "timer"])
      for (const name of Object.keys(commands)) expect(access.publish(subjectOf(caller, name)), caller).not.toBe(passes)
  })
})
