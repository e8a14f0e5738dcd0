/** The account's law: given these events, when this is asked, then these events or this refusal. */
import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import { accountDecider } from "../../actors/account/account.ts"
import type { State } from "../../actors/account/state.ts"
import { type Account, account } from "../../messages/account.ts"
import { accountKeysMax, accountWorkspacesMax } from "../../messages/limits.ts"
import type { CommandOf, EventOf, QueryOf } from "../../messages/protocol.ts"

type Event = EventOf<Account>
type Loose<T> = T extends { readonly _tag: infer Tag }
  ? { readonly _tag: Tag; readonly [field: string]: unknown }
  : never

const { initial, decide, evolve, answer, save, load } = accountDecider

const verifier = {
  algorithm: "scrypt" as const,
  cost: 16_384,
  blockSize: 8,
  salt: "ab".repeat(16),
  hash: "cd".repeat(32)
}

const founded = { _tag: "OrganisationFounded", title: "Acme" }
const issued = (key: string, role = "member", rest: object = {}) => ({
  _tag: "KeyIssued",
  key,
  label: key,
  role,
  verifier,
  by: "admin",
  ...rest
})
const created = (name: string, number: number) => ({
  _tag: "WorkspaceCreated",
  id: `acme_${number}`,
  name,
  layout: "slices",
  storage: { _tag: "Managed" },
  by: "admin"
})
const deleted = (name: string) => ({ _tag: "WorkspaceDeleted", name, by: "admin" })

const adminKey = issued("adminkey", "admin")
const memberKey = issued("memberkey")

/** The first event happens at 1, the next at 2, and so on; what is asked, at 100. */
const given = (...events: ReadonlyArray<object>) => {
  let state: State = initial("acme")
  for (const [index, event] of events.entries()) state = evolve(state, event as Event, index + 1)
  const at = 100
  return {
    state,
    when: (command: Loose<CommandOf<Account>> | { readonly _tag: "Tick" }, caller = "admin") =>
      decide(state, command as CommandOf<Account>, { id: "acme", caller, commandId: "x", at, version: events.length }),
    ask: (query: Loose<QueryOf<Account>>, caller = "admin") =>
      answer(state, query as QueryOf<Account>, { id: "acme", caller, at, version: events.length })
  }
}

const workspace = (name: string, number: number, rest: object = {}) => ({
  id: `acme_${number}`,
  name,
  layout: "slices",
  storage: { _tag: "Managed" },
  createdBy: "admin",
  ...rest
})

describe("founding", () => {
  it("happens once, with a title or the organisation's name", () => {
    expect(given().when({ _tag: "FoundOrganisation", title: "Acme" })).toEqual({
      events: [founded],
      reply: { organisation: { org: "acme", title: "Acme", foundedAt: 100, workspaces: 0, keys: 0 } }
    })
    expect(given().when({ _tag: "FoundOrganisation" })).toMatchObject({ events: [{ title: "acme" }] })
    expect(given(founded).when({ _tag: "FoundOrganisation" })).toEqual({
      refused: { _tag: "AlreadyFounded", org: "acme" }
    })
  })

  it("is not for keys", () => {
    expect(given().when({ _tag: "FoundOrganisation" }, "key-adminkey")).toMatchObject({
      refused: { _tag: "NotAllowed", caller: "key-adminkey" }
    })
  })

  it("comes before everything else", () => {
    const refused = { refused: { _tag: "NotFounded", org: "acme" } }
    const { when, ask } = given()
    expect(when({ _tag: "CreateWorkspace", name: "w" })).toEqual(refused)
    expect(when({ _tag: "DeleteWorkspace", name: "w" })).toEqual(refused)
    expect(when({ _tag: "RevokeKey", key: "adminkey" })).toEqual(refused)
    expect(when({ _tag: "IssueKey", key: "adminkey", label: "", role: "admin", verifier })).toEqual(refused)
    expect(ask({ _tag: "ShowOrganisation" })).toEqual(refused)
    expect(ask({ _tag: "ListKeys" })).toEqual(refused)
    expect(ask({ _tag: "KeyVerifier", key: "adminkey" }, "node")).toEqual(refused)
    expect(ask({ _tag: "ListWorkspaces" })).toEqual(refused)
    expect(ask({ _tag: "ShowWorkspace", name: "w" })).toEqual(refused)
  })

  it("is not needed for a tick, which means nothing to an account", () => {
    expect(given().when({ _tag: "Tick" })).toEqual({ events: [], reply: {} })
  })
})

describe("keys", () => {
  const issue = { _tag: "IssueKey", key: "newkey12", label: "ci", role: "member", verifier } as const

  it("are issued with all that may be told of them, and their verifier kept", () => {
    const { when } = given(founded)
    expect(when({ ...issue, expiresAt: 500 })).toEqual({
      events: [
        { _tag: "KeyIssued", key: "newkey12", label: "ci", role: "member", verifier, by: "admin", expiresAt: 500 }
      ],
      reply: { key: { key: "newkey12", label: "ci", role: "member", issuedAt: 100, issuedBy: "admin", expiresAt: 500 } }
    })
    expect(JSON.stringify((when(issue) as { reply: unknown }).reply)).not.toContain(verifier.hash)
  })

  it("have an id that was never used, not even by one that was revoked", () => {
    const refused = { refused: { _tag: "KeyTaken", key: "newkey12" } }
    expect(given(founded, issued("newkey12")).when(issue)).toEqual(refused)
    expect(given(founded, issued("newkey12"), { _tag: "KeyRevoked", key: "newkey12" }).when(issue)).toEqual(refused)
  })

  it("are managed by keys of the role admin and by callers that are no key", () => {
    const { when } = given(founded, adminKey, memberKey)
    expect(when(issue, "key-adminkey")).toMatchObject({ events: [{ by: "key-adminkey" }] })
    for (const command of [issue, { _tag: "RevokeKey", key: "adminkey" }] as const)
      expect(when(command, "key-memberkey")).toEqual({
        refused: {
          _tag: "NotAllowed",
          caller: "key-memberkey",
          why: "only a key with the role admin manages keys"
        }
      })
  })

  it("are so many at most", () => {
    const many = Array.from({ length: accountKeysMax }, (_, n) => issued(`key${String(n).padStart(8, "0")}`))
    expect(given(founded, ...many).when(issue)).toEqual({
      refused: { _tag: "TooMany", what: "keys", max: accountKeysMax }
    })
    expect(given(founded, ...many.slice(1)).when(issue)).toMatchObject({ events: [{ key: "newkey12" }] })
  })

  it("are revoked once; again changes nothing and gives the first time", () => {
    const { when } = given(founded, memberKey)
    expect(when({ _tag: "RevokeKey", key: "memberkey" })).toMatchObject({
      events: [{ _tag: "KeyRevoked", key: "memberkey" }],
      reply: { key: { key: "memberkey", revokedAt: 100 } }
    })
    const again = given(founded, memberKey, { _tag: "KeyRevoked", key: "memberkey" })
    expect(again.when({ _tag: "RevokeKey", key: "memberkey" })).toMatchObject({
      events: [],
      reply: { key: { revokedAt: 3 } }
    })
    expect(again.when({ _tag: "RevokeKey", key: "unknown1" })).toEqual({
      refused: { _tag: "NoSuchKey", key: "unknown1" }
    })
  })

  it.each([
    ["unknown", [], "no such key in this organisation"],
    ["revoked", [memberKey, { _tag: "KeyRevoked", key: "memberkey" }], "the key was revoked"],
    ["expired", [issued("memberkey", "member", { expiresAt: 100 })], "the key has expired"],
    [
      "revoked before it expired",
      [issued("memberkey", "admin", { expiresAt: 5 }), { _tag: "KeyRevoked", key: "memberkey" }],
      "the key was revoked"
    ]
  ])("that are %s may do nothing and see nothing", (_what, events, why) => {
    const { when, ask } = given(founded, created("w", 1), ...events)
    const refused = { refused: { _tag: "NotAllowed", caller: "key-memberkey", why } }
    const caller = "key-memberkey"
    expect(when({ _tag: "CreateWorkspace", name: "x" }, caller)).toEqual(refused)
    expect(when({ _tag: "DeleteWorkspace", name: "w" }, caller)).toEqual(refused)
    expect(when(issue, caller)).toEqual(refused)
    expect(ask({ _tag: "ShowOrganisation" }, caller)).toEqual(refused)
    expect(ask({ _tag: "ListWorkspaces" }, caller)).toEqual(refused)
    expect(ask({ _tag: "ShowWorkspace", name: "w" }, caller)).toEqual(refused)
    expect(ask({ _tag: "ListKeys" }, caller)).toEqual(refused)
  })

  it("work until the millisecond at which they expire", () => {
    const { when } = given(founded, issued("memberkey", "member", { expiresAt: 101 }))
    expect(when({ _tag: "CreateWorkspace", name: "x" }, "key-memberkey")).toMatchObject({
      events: [{ by: "key-memberkey" }]
    })
  })

  it("show their verifier to nodes alone", () => {
    const { ask } = given(founded, memberKey)
    const query = { _tag: "KeyVerifier", key: "memberkey" } as const
    expect(ask(query, "node")).toMatchObject({ reply: { info: { key: "memberkey" }, verifier } })
    for (const caller of ["admin", "key-memberkey"])
      expect(ask(query, caller)).toMatchObject({ refused: { _tag: "NotAllowed" } })
    expect(ask({ _tag: "KeyVerifier", key: "unknown1" }, "node")).toEqual({
      refused: { _tag: "NoSuchKey", key: "unknown1" }
    })
    expect(JSON.stringify(ask({ _tag: "ListKeys" }))).not.toContain(verifier.hash)
  })
})

describe("workspaces", () => {
  it("are created with an id, a layout and a place for their bytes", () => {
    const { when } = given(founded)
    expect(when({ _tag: "CreateWorkspace", name: "home" })).toEqual({
      events: [created("home", 1)],
      reply: { workspace: workspace("home", 1, { createdAt: 100 }) }
    })
    const storage = { _tag: "Byo", bucket: "their-bucket", region: "eu-1" }
    expect(when({ _tag: "CreateWorkspace", name: "home", layout: "generations", storage })).toMatchObject({
      events: [{ layout: "generations", storage }],
      reply: { workspace: { layout: "generations", storage } }
    })
  })

  it("have a name of their own while they live, in either case", () => {
    const { when } = given(founded, created("home", 1))
    expect(when({ _tag: "CreateWorkspace", name: "home" })).toEqual({
      refused: { _tag: "NameTaken", name: "home", existing: workspace("home", 1, { createdAt: 2 }) }
    })
    expect(when({ _tag: "CreateWorkspace", name: "Home" })).toMatchObject({ events: [{ name: "Home" }] })
  })

  it("leave a tombstone, and their name to the next, whose id is new", () => {
    const { when, ask } = given(founded, created("home", 1), deleted("home"))
    expect(ask({ _tag: "ShowWorkspace", name: "home" })).toEqual({
      refused: { _tag: "NoSuchWorkspace", name: "home" }
    })
    expect(ask({ _tag: "ListWorkspaces", deleted: true })).toEqual({
      reply: {
        workspaces: [workspace("home", 1, { createdAt: 2, deletedAt: 3, deletedBy: "admin" })],
        more: false
      }
    })
    expect(when({ _tag: "CreateWorkspace", name: "home" })).toMatchObject({ events: [{ id: "acme_2" }] })
    expect(when({ _tag: "DeleteWorkspace", name: "home" })).toEqual({
      refused: { _tag: "NoSuchWorkspace", name: "home" }
    })
  })

  it("are deleted with who and when", () => {
    expect(
      given(founded, memberKey, created("home", 1)).when({ _tag: "DeleteWorkspace", name: "home" }, "key-memberkey")
    ).toEqual({
      events: [{ _tag: "WorkspaceDeleted", name: "home", by: "key-memberkey" }],
      reply: { workspace: workspace("home", 1, { createdAt: 3, deletedAt: 100, deletedBy: "key-memberkey" }) }
    })
  })

  it("are so many at most that live: one that was deleted makes room", () => {
    const { state, when } = given(founded)
    for (let n = 1; n <= accountWorkspacesMax; n++) evolve(state, created(`w${n}`, n) as Event, n)
    expect(when({ _tag: "CreateWorkspace", name: "more" })).toEqual({
      refused: { _tag: "TooMany", what: "workspaces", max: accountWorkspacesMax }
    })
    evolve(state, deleted("w7") as Event, 1)
    expect(when({ _tag: "CreateWorkspace", name: "more" })).toMatchObject({
      events: [{ id: `acme_${accountWorkspacesMax + 1}` }]
    })
  })
})

describe("lists", () => {
  const names = (reply: unknown) =>
    (reply as { reply: { workspaces: ReadonlyArray<{ name: string }>; more: boolean } }).reply

  it("come in the order of names, page by page, each once", () => {
    const all = Array.from({ length: 1_203 }, (_, n) => created(`w${n}`, n + 1))
    const { ask } = given(founded, ...all)
    const found: Array<string> = []
    for (let after: string | undefined, more = true; more; after = found.at(-1)) {
      const page = names(ask({ _tag: "ListWorkspaces", ...(after === undefined ? {} : { after }) }))
      expect(page.workspaces.length).toBeLessThanOrEqual(500)
      found.push(...page.workspaces.map(({ name }) => name))
      more = page.more
    }
    expect(found).toEqual(all.map(({ name }) => name).sort())
  })

  it("are as long as asked for, one at least, and say whether there is more", () => {
    const { ask } = given(founded, created("b", 1), created("a", 2), created("c", 3))
    const listed = (rest: object) => {
      const { workspaces, more } = names(ask({ _tag: "ListWorkspaces", ...rest }))
      return [workspaces.map(({ name }) => name).join(""), more]
    }
    expect(listed({})).toEqual(["abc", false])
    expect(listed({ limit: 2 })).toEqual(["ab", true])
    expect(listed({ limit: 3 })).toEqual(["abc", false])
    expect(listed({ limit: 0 })).toEqual(["a", true])
    expect(listed({ limit: 1_000_000 })).toEqual(["abc", false])
    expect(listed({ after: "a" })).toEqual(["bc", false])
    expect(listed({ after: "aa", limit: 1 })).toEqual(["b", true])
    expect(listed({ after: "zzz" })).toEqual(["", false])
  })

  it("of keys tell everything but verifiers", () => {
    const { ask } = given(founded, memberKey, adminKey, { _tag: "KeyRevoked", key: "memberkey" })
    expect(ask({ _tag: "ListKeys" }, "key-adminkey")).toEqual({
      reply: {
        keys: [
          { key: "adminkey", label: "adminkey", role: "admin", issuedAt: 3, issuedBy: "admin" },
          { key: "memberkey", label: "memberkey", role: "member", issuedAt: 2, issuedBy: "admin", revokedAt: 4 }
        ],
        more: false
      }
    })
  })

  it("fit into a message at their longest", () => {
    const storage = {
      _tag: "Byo",
      bucket: "b".repeat(63),
      endpoint: `https://${"e".repeat(255)}`,
      region: "r".repeat(32)
    }
    const by = "c".repeat(128)
    const long = Array.from({ length: 500 }, (_, n) => ({
      ...created("n".repeat(60) + String(n).padStart(3, "0"), n),
      id: "i".repeat(125) + String(n).padStart(3, "0"),
      storage,
      by
    }))
    const gone = long.map(({ name }) => ({ ...deleted(name), by }))
    const { ask } = given(founded, ...long, ...gone)
    expect(JSON.stringify(ask({ _tag: "ListWorkspaces", deleted: true })).length).toBeLessThan(1024 * 1024)
  })

  it("count the living", () => {
    const { ask } = given(founded, created("a", 1), created("b", 2), deleted("a"), memberKey)
    expect(ask({ _tag: "ShowOrganisation" })).toEqual({
      reply: { organisation: { org: "acme", title: "Acme", foundedAt: 1, workspaces: 1, keys: 1 } }
    })
  })
})

describe("a snapshot", () => {
  it.each<readonly [string, ReadonlyArray<object>]>([
    ["nothing", []],
    ["an organisation", [founded]],
    [
      "everything",
      [
        founded,
        adminKey,
        memberKey,
        created("a", 1),
        created("b", 2),
        deleted("a"),
        { _tag: "KeyRevoked", key: "memberkey" }
      ]
    ]
  ])("of %s gives it all back", (_what, events) => {
    const { state } = given(...events)
    expect(load(save(state), "acme")).toEqual(state)
  })
})

describe("names", () => {
  const input = Schema.decodeUnknownResult(account.commands.CreateWorkspace.input)
  it.each(["a", "A", "9", "a-b_c", "x".repeat(63)])("may be %s", (name) => {
    expect(input({ name })._tag).toBe("Success")
  })
  it.each(["", "-a", "_a", "a.b", "a b", "a/b", "ä", "a\n", "x".repeat(64), "..", "a*", "a>"])(
    "may not be %j",
    (name) => {
      expect(input({ name })._tag).toBe("Failure")
    }
  )
})
