/** A mount session's life: every stage, and that there is no way back from the last. */
import { describe, expect, it } from "vitest"
import { mountSessionDecider } from "../../actors/mount-session/session.ts"
import { beatsPerLife, lateMs } from "../../messages/limits.ts"
import type { MountSession } from "../../messages/mount-session.ts"
import type { CommandOf } from "../../messages/protocol.ts"

type Command = CommandOf<MountSession> | { readonly _tag: "Tick" }

const issue = { _tag: "Issue", org: "acme", workspace: "acme_1", name: "home", mode: "rw" } as unknown as Command

/** Sends commands one after another, each at its time, and gives what the last one was answered. */
const having = (...sent: ReadonlyArray<readonly [number, Command]>) => {
  let state = mountSessionDecider.initial("ms1")
  let outcome: ReturnType<typeof mountSessionDecider.decide> = { events: [], reply: {} }
  for (const [index, [at, command]] of sent.entries()) {
    const context = { id: "ms1", caller: "admin", commandId: String(index), at, version: index + 1 }
    outcome = mountSessionDecider.decide(state, command, context)
    if ("events" in outcome) for (const event of outcome.events) state = mountSessionDecider.evolve(state, event, at)
  }
  return { state, outcome, due: mountSessionDecider.due?.(state) }
}

const attach: Command = { _tag: "Attach", host: "h", directory: "/d" }

describe("a mount session", () => {
  it("is issued, attached and renewed, and each puts its end off by a minute", () => {
    expect(having([1000, issue]).due).toBe(61_000)
    expect(having([1000, issue], [5000, attach]).due).toBe(65_000)
    const renewed = having([1000, issue], [5000, attach], [17_000, { _tag: "Heartbeat" }])
    expect(renewed.due).toBe(77_000)
    expect(renewed.state.session).toMatchObject({ stage: "attached", host: "h", directory: "/d", expiresAt: 77_000 })
  })

  it("expires when its time has come and not before", () => {
    expect(having([0, issue], [59_999, { _tag: "Tick" }]).state.session?.stage).toBe("issued")
    const expired = having([0, issue], [60_000, { _tag: "Tick" }])
    expect(expired.state.session?.stage).toBe("expired")
    expect(expired.due).toBeUndefined()
  })

  it("lives for as long as it was asked for, from each sign of life on", () => {
    const short = { ...issue, lifeMs: 10_000 } as unknown as Command
    expect(having([1000, short]).due).toBe(11_000)
    expect(having([1000, short], [5000, attach], [7000, { _tag: "Heartbeat" }]).due).toBe(17_000)
  })

  it("expires soon when it is doubted, unless a sign of life comes", () => {
    const doubt: Command = { _tag: "Doubt" }
    const doubted = having([0, issue], [1000, attach], [2000, doubt])
    expect(doubted.due).toBe(2000 + 60_000 / beatsPerLife + lateMs)
    expect(having([0, issue], [1000, attach], [2000, doubt], [3000, doubt]).due).toBe(doubted.due)
    expect(having([0, issue], [1000, attach], [2000, doubt], [7000, { _tag: "Heartbeat" }]).due).toBe(67_000)
    const ended = having([0, issue], [1000, attach], [2000, doubt], [doubted.due ?? 0, { _tag: "Tick" }])
    expect(ended.state.session?.stage).toBe("expired")
    // It never lives longer for being doubted.
    expect(having([0, issue], [1000, attach], [60_000, doubt]).due).toBe(61_000)
  })

  it("refuses everything once it is over", () => {
    for (const end of [{ _tag: "Detach" }, { _tag: "Tick" }] as ReadonlyArray<Command>)
      for (const command of [attach, { _tag: "Heartbeat" }, { _tag: "Detach" }] as ReadonlyArray<Command>)
        expect(having([0, issue], [60_000, end], [60_001, command]).outcome).toMatchObject({
          refused: { _tag: "SessionOver", session: "ms1" }
        })
  })

  it("cannot be used before it is issued, nor issued twice", () => {
    expect(having([0, attach]).outcome).toEqual({ refused: { _tag: "NoSuchSession", session: "ms1" } })
    expect(having([0, issue], [1, issue]).outcome).toEqual({ refused: { _tag: "AlreadyIssued", session: "ms1" } })
  })

  it("tells its workspace when it begins and when it ends, once each", () => {
    const owed = (end: Command) => {
      const events = [issue, attach, { _tag: "Heartbeat" } as const, end].map((_, index, all) => {
        const sent = all.slice(0, index + 1).map((command, at) => [at === 3 ? 70_000 : at, command] as const)
        const { outcome } = having(...sent)
        return "events" in outcome ? outcome.events : []
      })
      return events.flat().flatMap((event) => mountSessionDecider.oblige?.(event, "ms1") ?? [])
    }
    for (const end of [{ _tag: "Detach" }, { _tag: "Tick" }] as ReadonlyArray<Command>)
      expect(owed(end)).toEqual([
        { kind: "workspace", id: "acme_1", command: { _tag: "BeginSession", session: "ms1", mode: "rw" } },
        { kind: "workspace", id: "acme_1", command: { _tag: "EndSession", session: "ms1" } }
      ])
  })

  it("is not kept or shown by an API key", () => {
    const { state } = having([0, issue])
    const context = { id: "ms1", caller: "key-abcdefgh", commandId: "1", at: 1, version: 2 }
    expect(mountSessionDecider.decide(state, { _tag: "Heartbeat" }, context)).toMatchObject({
      refused: { _tag: "NotAllowed" }
    })
    expect(mountSessionDecider.answer(state, { _tag: "Show" }, context)).toMatchObject({
      refused: { _tag: "NotAllowed" }
    })
  })
})
