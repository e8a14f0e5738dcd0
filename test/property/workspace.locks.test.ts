/** Locks under random commands: no two at odds, nobody waits who need not, every byte has the holders it should. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isFree, next } from "../../actors/workspace/tree/locks.ts"
import { initial } from "../../actors/workspace/tree/tree.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import type { Lock } from "../../messages/lock.ts"
import { Desk, root } from "../unit/workspace.ts"
import { dump } from "./workspace.dump.ts"

const sessions = ["s1", "s2", "s3"]
const bytes = 12

const step = fc.record({
  kind: fc.constantFrom("Lock", "Lock", "Lock", "Lock", "Unlock", "Unlock", "CancelLock", "EndSession", "BeginSession"),
  session: fc.constantFrom(...sessions),
  owner: fc.constantFrom("a", "b"),
  family: fc.constantFrom("posix", "posix", "flock"),
  ino: fc.constantFrom(2, 3),
  type: fc.constantFrom("read", "write"),
  start: fc.nat(bytes - 1),
  length: fc.nat(5),
  wait: fc.boolean(),
  ticket: fc.integer({ min: 1, max: 12 })
})

/** Who holds each byte how, as a naive reader of the events has it. */
class Bytes {
  readonly held = new Map<string, string>()

  set(
    event: { ino: number; family: string; session: string; owner: string; start: number; end: number },
    type?: string
  ) {
    for (let at = event.start; at <= Math.min(event.end, 2 * bytes); at++) {
      const key = `${event.family} ${event.ino} ${at} ${event.session} ${event.owner}`
      if (type === undefined) this.held.delete(key)
      else this.held.set(key, type)
    }
  }

  forget(session: string) {
    for (const key of [...this.held.keys()]) if (key.split(" ")[3] === session) this.held.delete(key)
  }
}

const overlap = (a: Lock, b: Lock) => a.start <= b.end && b.start <= a.end

const check = (desk: Desk) => {
  const naive = new Bytes()
  let token = 0
  for (const { event } of desk.log) {
    if (event._tag === "Locked") {
      naive.set(event, event.type)
      expect(event.token).toBeGreaterThan(token)
      token = event.token
    }
    if (event._tag === "Unlocked") naive.set(event)
    if (event._tag === "SessionEnded") naive.forget(event.session)
  }
  const ours = new Bytes()
  for (const [key, locks] of desk.tree.locks) {
    const [family = "", ino] = key.split(":")
    for (const held of locks.held) ours.set({ ...held, family, ino: Number(ino) }, held.type)
    for (const a of locks.held)
      for (const b of locks.held)
        if (a !== b && overlap(a, b))
          expect([a.type, b.type, a.session === b.session && a.owner === b.owner]).toEqual(["read", "read", false])
    expect(next(locks), "nobody waits for what is free").toBeUndefined()
    for (const waiting of locks.queue) expect(isFree(locks, waiting)).toBe(false)
    for (const { session } of [...locks.held, ...locks.queue]) expect(desk.tree.sessions.has(session)).toBe(true)
  }
  expect([...ours.held].sort()).toEqual([...naive.held].sort())
}

describe("locks", () => {
  it("hold to their law whatever is asked of them", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), (steps) => {
        const desk = new Desk()
        const begin = (session: string) => desk.do({ _tag: "BeginSession", session: session as never, mode: "rw" })
        for (const session of sessions) begin(session)
        for (const name of ["x", "y"])
          desk.do({ _tag: "Create", parent: 1, name, mode: 0o600, who: root, time: [0, 0] })
        for (const { kind, session, type, start, length, wait, ticket, ...place } of steps) {
          if (kind === "BeginSession") begin(session)
          else if (kind === "EndSession") desk.do({ _tag: "EndSession", session: session as never })
          else {
            const range = { start, end: start + length }
            const more = kind === "Lock" ? { ...range, pid: 1, type, wait } : kind === "Unlock" ? range : { ticket }
            const fault = desk.fault({ _tag: kind, ...place, ...more } as never, session)
            expect([undefined, "EAGAIN", "EDEADLK", "SessionOver"]).toContain(fault)
          }
          check(desk)
          desk.checkDue()
        }
        const folded = desk.log.reduce(
          (tree, { event, at }) => workspaceDecider.evolve(tree, event, at),
          initial("acme_1")
        )
        expect(dump(folded)).toEqual(dump(desk.tree))
      }),
      { numRuns: 200 }
    )
  })
})
