/** `inspect` into the past: how a stream stood at a moment and at an offset, and who brought it there. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, stop, type Up, up } from "./command.ts"

let node: Up

beforeAll(async () => {
  node = await up(freshPath(), "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process")
}, 60_000)

afterAll(async () => {
  await stop(node)
  cleanUp()
})

const offsetOf = (at: number): string => `0000000000000000_${String(at).padStart(16, "0")}`

interface Past {
  readonly tail: string
  readonly closed: boolean
  readonly entries: ReadonlyArray<{ readonly caller: string; readonly events: ReadonlyArray<object> }>
}

const past = async (query: string) => {
  const answer = await fetch(`${node.http}/ds/past/x/inspect?${query}`)
  return { status: answer.status, told: (answer.ok ? await answer.json() : {}) as Past }
}

describe("the past of a stream", () => {
  it("is told for a moment and for an offset, and not for a time before it", async () => {
    const before = Date.now() - 1000
    await node.run("stream", "create", "past/x", "--type", "text/plain")
    const append = (text: string, seq: number) =>
      fetch(`${node.http}/ds/past/x`, {
        method: "POST",
        headers: {
          "content-type": "text/plain",
          ...{ "producer-id": "writer", "producer-epoch": "0", "producer-seq": `${seq}` }
        },
        body: text
      })
    await append("first", 0)
    await new Promise((resolve) => setTimeout(resolve, 30))
    const between = Date.now()
    await new Promise((resolve) => setTimeout(resolve, 30))
    await append("second", 1)
    await fetch(`${node.http}/ds/past/y`, { method: "PUT", headers: { "content-type": "text/plain" }, body: "y" })
    await node.run("stream", "close", "past/x")
    const then = await past(`at=${between}`)
    expect(then).toMatchObject({ status: 200, told: { tail: offsetOf(5), closed: false } })
    expect(then.told.entries.map(({ events }) => events)).toMatchObject([
      [{ _tag: "StreamCreated" }],
      [{ _tag: "Appended", size: 5, producer: { id: "writer", seq: 0 } }]
    ])
    expect(JSON.stringify(then.told)).not.toContain("first")
    expect(await past(`at=${new Date(Date.now() + 1000).toISOString()}`)).toMatchObject({
      told: { tail: offsetOf(11), closed: true }
    })
    const reached = await past(`offset=${offsetOf(6)}`)
    expect(reached.told.entries.at(-1)?.events).toMatchObject([{ _tag: "Appended", from: offsetOf(5) }])
    expect((await past(`at=${before}`)).status).toBe(404)
    expect((await past(`offset=${offsetOf(99)}`)).status).toBe(410)
    expect((await past("at=yesterday")).status).toBe(400)
    expect((await past("offset=1")).status).toBe(400)
    const typed = (await node.json("stream", "inspect", "past/x", "--at", String(between))) as Past
    expect(typed.tail).toBe(offsetOf(5))
  })
})
