/** Commands that travel together: each is decided and answered by itself, and whoever gets no answer asks alone. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { answersIn, manyText, type One, receiveAll } from "../../runtime/actor/many.ts"
import { type Bus, TimedOut } from "../../runtime/ports/bus.ts"
import { type Forwarded, Forwarding } from "../../runtime/streams/forward.ts"
import { bankLike } from "./hosted.ts"

const one = (name: string): One => ({ caller: "c", name, commandId: `id-${name}`, body: `{"of":"${name} and \\n"}` })
const at = { shard: 0, shards: 1, kinds: new Map([["bank", bankLike()]]), freshId: () => "fresh" }

const message = (body: string, caller = "node", name = "Many") => {
  const answers: Array<string> = []
  const respond = (text: Uint8Array | string) => void answers.push(String(text))
  const subject = `art.v1.do.bank.0.a.${caller}.${name}`
  return { answers, deliveries: receiveAll({ subject, body: Buffer.from(body), headers: {}, respond }, at) }
}

describe("commands of one message", () => {
  it("are answered together, in their order, when the last of them is", () => {
    const { answers, deliveries } = message(manyText([one("A"), one("B")]))
    expect(deliveries.map(({ caller, name, commandId, id }) => [caller, name, commandId, id])).toEqual([
      ["c", "A", "id-A", "a"],
      ["c", "B", "id-B", "a"]
    ])
    expect(JSON.parse(deliveries[1]?.body ?? "")).toEqual({ of: "B and \n" })
    deliveries[1]?.answer('{"ok":2}')
    expect(answers).toEqual([])
    deliveries[0]?.answer('{"ok":1}')
    expect(answersIn(answers[0] ?? "", 2)).toEqual(['{"ok":1}', '{"ok":2}'])
    expect(answersIn(answers[0] ?? "", 3)).toBeUndefined()
  })

  it("come from nodes alone, and in the form that nodes write", () => {
    expect(message(manyText([one("A"), one("B")]), "somebody").deliveries.map(({ name }) => name)).toEqual(["Many"])
    expect(message("not a line").deliveries.map(({ name }) => name)).toEqual(["Many"])
    expect(message("{}", "c", "Deposit").deliveries.map(({ name }) => name)).toEqual(["Deposit"])
  })
})

describe("a forwarding node", () => {
  const forwarding = (answered: (lines: number) => Effect.Effect<string, TimedOut>) => {
    const sent: Array<number> = []
    const bus = {
      request: (subject: string, { body }: { readonly body: string }) => {
        const lines = body.split("\n").length
        sent.push(lines)
        const message_ = (text: string) => ({ subject, body: Buffer.from(text), headers: {}, respond: () => {} })
        return Effect.map(answered(lines), message_)
      }
    } as unknown as Bus["Service"]
    const made = new Forwarding({ bus, now: () => 0, run: (work) => void Effect.runFork(work) })
    const told: Array<string> = []
    const send = (name: string) => {
      const each: Forwarded = {
        ...one(name),
        done: (answer) => void told.push(`${name} ${JSON.stringify(answer)}`),
        alone: () => void told.push(`${name} alone`)
      }
      made.send("subject", each)
    }
    return { sent, told, send }
  }
  const lines = (texts: ReadonlyArray<string>) => Effect.succeed(texts.join("\n"))
  const settled = () => new Promise((resume) => setTimeout(resume, 20))

  it("sends what waits in one turn as one message, and hands out each answer", async () => {
    const { sent, told, send } = forwarding((count) => lines(Array.from({ length: count }, (_, n) => `{"ok":${n}}`)))
    for (const name of ["A", "B", "C"]) send(name)
    await settled()
    expect(told).toEqual(['A {"ok":0}', 'B {"ok":1}', 'C {"ok":2}'])
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(3)
    expect(sent.length).toBeLessThan(3)
  })

  it("lets those ask alone who got no answer that is final", async () => {
    const unavailable = '{"failed":{"_tag":"Unavailable","why":"moving"}}'
    const some = forwarding((count) => lines([unavailable, ...Array(count - 1).fill('{"ok":1}')]))
    for (const name of ["A", "B"]) some.send(name)
    await settled()
    expect(some.told).toContain("A alone")
    const none = forwarding(() => Effect.fail(new TimedOut({ subject: "subject" })))
    for (const name of ["A", "B"]) none.send(name)
    await settled()
    expect(none.told).toEqual(["A alone", "B alone"])
    const other = forwarding(() => lines(['{"failed":{"_tag":"Malformed","why":"no command Many"}}']))
    for (const name of ["A", "B"]) other.send(name)
    await settled()
    expect(other.told).toEqual(["A alone", "B alone"])
  })
})
