/** The official client of the protocol against a node: what it writes, reads and follows, as an application uses it. */
import { DurableStream, IdempotentProducer, StaleEpochError } from "@durable-streams/client"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, stop, type Up, up } from "./command.ts"

let node: Up

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process"]
  node = await up(freshPath(), ...free, "--long-poll-ms", "400")
}, 60_000)

afterAll(async () => {
  await stop(node)
  cleanUp()
})

const url = (path: string): string => `${node.http}/v1/stream/${path}`

interface Message {
  readonly by: string
  readonly n: number
}

describe("the official client", () => {
  it("makes, fills, reads, closes and deletes streams of JSON and of bytes", async () => {
    const handle = await DurableStream.create({ url: url("client/json"), contentType: "application/json" })
    for (let n = 0; n < 20; n++) await handle.append(JSON.stringify({ by: "one", n }))
    const read = await (await handle.stream<Message>({ live: false })).json()
    expect(read.map(({ n }) => n)).toEqual([...Array(20).keys()])
    const bytes = await DurableStream.create({ url: url("client/bytes"), contentType: "application/octet-stream" })
    await bytes.append(new Uint8Array([0, 255, 13, 10]))
    await bytes.close({ body: new Uint8Array([1]) })
    expect([...(await (await bytes.stream({ live: false })).body())]).toEqual([0, 255, 13, 10, 1])
    expect(await DurableStream.head({ url: url("client/bytes") })).toMatchObject({ exists: true, streamClosed: true })
    await expect(bytes.append("more")).rejects.toThrow()
    await bytes.delete()
    expect((await DurableStream.head({ url: url("client/bytes") })).exists).toBe(false)
  })

  it.each(["sse", "long-poll"] as const)("follows by %s what several producers write, each once", async (live) => {
    const handle = await DurableStream.create({ url: url(`client/live-${live}`), contentType: "application/json" })
    const heard: Array<Message> = []
    const session = await handle.stream<Message>({ live, offset: "-1" })
    const all = new Promise<void>((resolve) => {
      session.subscribeJson((batch) => {
        heard.push(...batch.items)
        if (heard.length >= 300) resolve()
      })
    })
    const produce = async (by: string): Promise<void> => {
      const producer = new IdempotentProducer(await DurableStream.connect({ url: handle.url }), by, { lingerMs: 2 })
      for (let n = 0; n < 100; n++) {
        producer.append(JSON.stringify({ by, n }))
        if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await producer.flush()
      await producer.detach()
    }
    await Promise.all(["a", "b", "c"].map(produce))
    await all
    session.cancel()
    for (const by of ["a", "b", "c"])
      expect(heard.filter((each) => each.by === by).map(({ n }) => n)).toEqual([...Array(100).keys()])
  })

  it("fences the producer of an earlier epoch", async () => {
    const handle = await DurableStream.create({ url: url("client/epochs"), contentType: "application/json" })
    const errors: Array<Error> = []
    const first = new IdempotentProducer(handle, "worker", { epoch: 1, onError: (error) => void errors.push(error) })
    first.append("1")
    await first.flush()
    const second = new IdempotentProducer(handle, "worker", { epoch: 2 })
    second.append("2")
    await second.flush()
    first.append("3")
    await first.flush().catch((error: Error) => errors.push(error))
    expect(errors.some((error) => error instanceof StaleEpochError)).toBe(true)
    expect(await (await handle.stream<number>({ live: false })).json()).toEqual([1, 2])
  })
})
