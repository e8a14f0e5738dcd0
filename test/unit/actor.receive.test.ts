/** From the bus to a delivery: what is not in the form is answered at once, and the answer names the culprit. */
import { describe, expect, it } from "vitest"
import { shardOf } from "../../messages/subjects.ts"
import type { Delivery } from "../../runtime/actor/delivery.ts"
import { receive } from "../../runtime/actor/receive.ts"
import type { Message } from "../../runtime/ports/bus.ts"
import { bankLike } from "./hosted.ts"

const shards = 16
const shard = shardOf("bank", "a", shards)
const subject = `art.v1.do.bank.${shard}.a.c.Deposit`

const at = { shard, shards, kinds: new Map([["bank", bankLike()]]), freshId: () => "fresh" }

interface Given {
  readonly subject?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

const received = (
  given: Given
): { readonly delivery: Delivery | undefined; readonly answers: ReadonlyArray<string> } => {
  const answers: Array<string> = []
  const { body = "{}" } = given
  const message: Message = {
    subject: given.subject ?? subject,
    headers: given.headers ?? {},
    body: typeof body === "string" ? Buffer.from(body) : body,
    respond: (text) => answers.push(String(text))
  }
  return { delivery: receive(message, at), answers }
}

describe("what is received", () => {
  it("is a command with its id and deadline, and its answer goes back", () => {
    const headers = { "Art-Id": "1", "Art-Deadline": "17", "Content-Type": "Application/JSON" }
    const { delivery, answers } = received({ headers, body: '{"ü":1}' })
    expect(delivery).toMatchObject({
      verb: "do",
      kind: "bank",
      id: "a",
      caller: "c",
      name: "Deposit",
      body: '{"ü":1}',
      commandId: "1",
      deadline: 17
    })
    delivery?.answer("yes")
    expect(answers).toEqual(["yes"])
  })

  it("gets an id of its own when it comes without one, and a query gets none", () => {
    expect(received({}).delivery).toMatchObject({ commandId: "fresh", deadline: 0 })
    expect(received({ subject: subject.replace(".do.", ".ask.") }).delivery).toMatchObject({
      verb: "ask",
      commandId: ""
    })
  })
})

const other = shardOf("bank", "b", shards) === shard ? "c" : "b"

describe("what is malformed", () => {
  it.each<readonly [string, Given, string]>([
    ["too short a subject", { subject: "art.v1.do.bank.3.a" }, "not an address: art.v1.do.bank.3.a"],
    ["too long a subject", { subject: `${subject}.more` }, "not an address"],
    ["another version", { subject: subject.replace("v1", "v2") }, "not an address"],
    ["a shard that is no number", { subject: subject.replace(`.${shard}.`, ".x.") }, "not an address"],
    ["an unknown kind", { subject: subject.replace("bank", "casino") }, "no kind casino; there are bank"],
    ["the runtime's own kind", { subject: `art.v1.do.outbox.${shard}.0.c.Advance` }, "no kind outbox"],
    [
      "the wrong shard",
      { subject: subject.replace(".a.", `.${other}.`) },
      `bank/${other} lives in shard ${shardOf("bank", other, shards)} of 16, not in ${shard}`
    ],
    ["another codec", { headers: { "Content-Type": "application/msgpack" } }, "Content-Type application/msgpack"],
    ["an empty id", { headers: { "Art-Id": "" } }, "Art-Id"],
    ["an id with a space", { headers: { "Art-Id": "a b" } }, "Art-Id"],
    ["too long an id", { headers: { "Art-Id": "x".repeat(201) } }, "Art-Id has to be 1 to 200"],
    ["a deadline that is no number", { headers: { "Art-Deadline": "soon" } }, "Art-Deadline"],
    ["a deadline before time", { headers: { "Art-Deadline": "-1" } }, "Art-Deadline"],
    ["a deadline after all time", { headers: { "Art-Deadline": "1".repeat(16) } }, "Art-Deadline"],
    ["bytes that are no text", { body: new Uint8Array([0x7b, 0xff, 0x7d]) }, "the body is not UTF-8"]
  ])("as %s is, says so and goes nowhere", (_what, given, culprit) => {
    const { delivery, answers } = received(given)
    expect(delivery).toBeUndefined()
    expect(answers.map((text) => JSON.parse(text))).toEqual([
      { failed: { _tag: "Malformed", why: expect.stringContaining(culprit) } }
    ])
  })

  it("does not come back at full length", () => {
    const { answers } = received({ subject: "x".repeat(10_000) })
    expect(answers[0]?.length).toBeLessThan(300)
  })
})
