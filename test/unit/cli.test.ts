/** What the command line makes of texts, and the texts that it makes. */
import { describe, expect, it } from "vitest"
import { card, table, when } from "../../runtime/cli/print.ts"
import { exitCodeOf, Problem, problemText, usage } from "../../runtime/cli/problem.ts"
import { told } from "../../runtime/cli/told.ts"
import { addressText, dataPath, nodeName, readAddress } from "../../runtime/node/options.ts"

describe("an address", () => {
  it("is host and port, or a port alone on the loopback", () => {
    expect(readAddress("0.0.0.0:80")).toEqual({ host: "0.0.0.0", port: 80, isExplicit: true })
    expect(readAddress("8080")).toEqual({ host: "127.0.0.1", port: 8080, isExplicit: true })
    expect(readAddress("[::1]:0")).toEqual({ host: "::1", port: 0, isExplicit: true })
    for (const text of ["", "host", "host:", ":80", "host:99999", "http://host:80", "a b:80", "::1:80"])
      expect(readAddress(text)).toBeUndefined()
    expect(addressText({ host: "::1", port: 1 })).toBe("[::1]:1")
  })
})

describe("the data directory", () => {
  it("is named by the flag, then by the environment, then by convention", () => {
    expect(dataPath("/a", { ARTIFACTS_DATA: "/b" })).toBe("/a")
    expect(dataPath(undefined, { ARTIFACTS_DATA: "/b", XDG_DATA_HOME: "/c" })).toBe("/b")
    expect(dataPath(undefined, { XDG_DATA_HOME: "/c" })).toBe("/c/artifacts")
    expect(dataPath(undefined, {})).toMatch(/\/\.local\/share\/artifacts$/)
  })
})

describe("a node's name", () => {
  it("is the host's, and in a cluster differs also on one host", () => {
    expect(nodeName("n-1", true)).toBe("n-1")
    expect(nodeName(undefined, false)).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(nodeName(undefined, true)).not.toBe(nodeName(undefined, true))
    expect(() => nodeName("a.b", false)).toThrow()
  })
})

describe("a table", () => {
  it("aligns its columns and leaves no blanks behind", () => {
    expect(
      table(
        ["A", "LONG"],
        [
          ["wider", "x"],
          ["y", ""]
        ]
      )
    ).toBe("A      LONG\nwider  x\ny")
  })

  it("does not hand control characters to a terminal", () => {
    expect(table(["A"], [["\u001b[2Jgone\u0007"]])).toBe("A\n?[2Jgone?")
    expect(card([["name", "a\nb"]])).toBe("name  a?b")
  })

  it("tells time to the second", () => {
    expect(when(1_795_152_515_002)).toBe("2026-11-20 05:28:35Z")
  })
})

describe("a problem", () => {
  it("is one line and the next thing to try, or JSON", () => {
    const problem = new Problem({ code: "no-node", message: "no node\n\n  here", next: "start one" })
    expect(problemText(problem, false)).toBe("artifacts: no node here\n  start one")
    expect(JSON.parse(problemText(problem, true))).toEqual({
      error: { code: "no-node", message: "no node here", next: "start one" }
    })
    expect([exitCodeOf(problem), exitCodeOf(usage("what?"))]).toEqual([1, 2])
  })

  it("has words for what actors say, and says what it has no words for", () => {
    const call = { verb: "do", kind: "account", id: "acme", name: "CreateWorkspace", body: "{}" } as const
    const refused = { _tag: "NameTaken", name: "w" }
    expect(told(call, refused)).toMatchObject({
      code: "NameTaken",
      message: "there is a workspace w already",
      details: refused
    })
    const corrupt = { _tag: "Corrupt", log: "journal shard 3", position: 7, why: "a checksum" }
    expect(told(call, corrupt).message).toBe(
      "account/acme is stopped, for its log is damaged at journal shard 3, position 7: a checksum"
    )
    expect(told(call, { _tag: "Novel" })).toMatchObject({ code: "Novel", message: '{"_tag":"Novel"}' })
  })
})
