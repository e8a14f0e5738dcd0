/** A decider made ready: what it reads, what it refuses to read, and what it leaves to the decider. */
import { describe, expect, it } from "vitest"
import { accountDecider } from "../../actors/account/account.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { bankLike } from "./hosted.ts"

const account = kindOf(accountDecider)

describe("a kind", () => {
  it("reads a command by its name, and an empty body for one without fields", () => {
    expect(account.readCommand("CreateWorkspace", '{"name":"home"}')).toEqual({
      value: { _tag: "CreateWorkspace", name: "home" }
    })
    expect(account.readCommand("FoundOrganisation", "")).toEqual({ value: { _tag: "FoundOrganisation" } })
    expect(account.readQuery("ListWorkspaces", '{"limit":3}')).toEqual({ value: { _tag: "ListWorkspaces", limit: 3 } })
  })

  it("takes the name from the subject, whatever a body says", () => {
    const read = account.readCommand("FoundOrganisation", '{"_tag":"RevokeKey"}')
    expect(read).toMatchObject({ why: expect.stringContaining("_tag") })
  })

  it.each([
    ["CreateWorkspace", '{"name":"-"}', "name"],
    ["CreateWorkspace", '{"name":"home","nam":"x"}', "nam"],
    ["CreateWorkspace", '{"name":"home","layout":"piles"}', "layout"],
    ["CreateWorkspace", '{"name":"home","storage":{"_tag":"Byo","bucket":"A"}}', "bucket"],
    ["CreateWorkspace", '"home"', "CreateWorkspace: "],
    ["RevokeKey", '{"key":"short"}', "key"],
    ["__proto__", "{}", "account has no command __proto__; it has FoundOrganisation"],
    ["constructor", "{}", "account has no command constructor"]
  ])("does not read %s %s, and names %s", (name, body, culprit) => {
    expect(account.readCommand(name, body)).toEqual({ why: expect.stringContaining(culprit) })
  })

  it("is not fooled by a prototype in a body", () => {
    const read = account.readCommand("CreateWorkspace", '{"name":"home","__proto__":{"layout":"piles"}}')
    if ("value" in read) expect(Object.getPrototypeOf(read.value)).toBe(Object.prototype)
    else expect(read.why).toContain("__proto__")
  })

  it("reads events as they were written, and throws at one that it does not know", () => {
    expect(account.readEvents('[{"_tag":"KeyRevoked","key":"abcdefgh"}]')).toEqual([
      { _tag: "KeyRevoked", key: "abcdefgh" }
    ])
    expect(account.readEvents("[]")).toEqual([])
    expect(() => account.readEvents('[{"_tag":"KeyLost","key":"abcdefgh"}]')).toThrow("account does not decode")
    expect(() => account.readEvents("{")).toThrow()
  })

  it("is never due when its decider does not say", () => {
    expect(account.due(account.initial("acme"))).toBe(0)
    expect(bankLike().due({ until: 7 })).toBe(7)
  })
})
