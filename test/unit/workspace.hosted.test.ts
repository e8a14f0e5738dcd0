/** A workspace and its mount sessions as the runtime runs them: sessions come by outbox, orphans go by timer. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { accountDecider } from "../../actors/account/account.ts"
import { mountSessionDecider } from "../../actors/mount-session/session.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import type { Settings } from "../../runtime/actor/owned.ts"
import { type Ground, host, inWorld, query, tell } from "./hosted.ts"
import { root } from "./workspace.ts"

const kinds = [kindOf(workspaceDecider), kindOf(mountSessionDecider), kindOf(accountDecider)]
const change = { who: root, time: [5, 5] }
// biome-ignore lint/suspicious/noExplicitAny: a test knows which reply it asked for.
type Any = any

const to = (caller: string) => ({ kind: "workspace", id: "acme_1", caller })
const send = (ground: Ground, caller: string, name: string, body: object) =>
  Effect.map(tell(ground, name, body, to(caller)), (told) => told as Any)
const ask = (ground: Ground, name: string, body: object) =>
  Effect.map(query(ground, name, body, to("admin")), (told) => told as Any)

const issue = Effect.fnUntraced(function* (ground: Ground, session: string) {
  const body = { org: "acme", workspace: "acme_1", name: "home", mode: "rw" }
  yield* tell(ground, "Issue", body, { kind: "mount-session", id: session, caller: "admin" })
  for (;;) {
    const { ok } = yield* ask(ground, "Sessions", {})
    if (ok.sessions.some((one: { session: string }) => one.session === session)) return
    yield* Effect.sleep(1)
  }
})

const beat = (ground: Ground, session: string) =>
  tell(ground, "Heartbeat", {}, { kind: "mount-session", id: session, caller: session })

/** Two mounts; one has a file open that both know, and a lock that the other waits for. */
const scene = Effect.fnUntraced(function* (ground: Ground) {
  yield* issue(ground, "s1")
  yield* issue(ground, "s2")
  const { ok } = yield* send(ground, "s1", "Create", { parent: 1, name: "f", mode: 0o644, ...change })
  const { ino } = ok.attributes
  yield* send(ground, "s1", "Create", { parent: 1, name: "\udcff", mode: 0o600, ...change })
  const lock = { ino, family: "flock", owner: "o", pid: 1, type: "write", start: 0, end: 9, wait: true }
  expect((yield* send(ground, "s1", "Lock", lock)).ok).toMatchObject({ granted: true, token: 1 })
  expect((yield* send(ground, "s2", "Lock", lock)).ok).toMatchObject({ granted: false, ticket: 1 })
  yield* send(ground, "s1", "Unlink", { parent: 1, name: "f", open: true, ...change })
  return ino as number
})

const minutePasses = Effect.fnUntraced(function* (ground: Ground) {
  for (let n = 0; n < 8; n++) {
    yield* Effect.sleep(10_000)
    yield* beat(ground, "s2")
  }
})

const checkAfter = Effect.fnUntraced(function* (ground: Ground, ino: number) {
  expect((yield* ask(ground, "Sessions", {})).ok.sessions).toMatchObject([{ session: "s2" }])
  expect((yield* ask(ground, "Attributes", { ino })).refused, "its holder is gone").toMatchObject({ code: "ENOENT" })
  const late = yield* send(ground, "s1", "Mkdir", { parent: 1, name: "late", mode: 0, ...change })
  expect(late.refused).toMatchObject({ _tag: "SessionOver", session: "s1" })
  const { entries } = (yield* ask(ground, "ReadDir", { ino: 1 })).ok
  expect(entries.map(({ name }: { name: string }) => name)).toEqual(["\udcff"])
})

describe("a workspace in the runtime", () => {
  it("has the layout that its account gave it", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground, { kinds })
        const account = { kind: "account", id: "acme", caller: "admin" }
        yield* tell(ground, "FoundOrganisation", {}, account)
        yield* tell(ground, "CreateWorkspace", { name: "home", layout: "generations" }, account)
        yield* Effect.sleep(100)
        expect((yield* ask(ground, "StatFs", {})).ok.layout).toBe("generations")
      })
    )
  })

  it("cleans up behind a session that is not heard of any more, and knows so after a restart", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const ino = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { kinds })
            const made = yield* scene(ground)
            expect((yield* ask(ground, "Attributes", { ino: made })).ok.attributes.nlink).toBe(0)
            yield* minutePasses(ground)
            yield* checkAfter(ground, made)
            return made
          })
        )
        yield* host(ground, { kinds })
        yield* checkAfter(ground, ino)
      })
    )
  })

  it("is the same from snapshots, with what is due still due", () => {
    const short: Partial<Settings> = { checkpointEveryMs: 10, logEntriesMax: 0, logBytesMax: 0 }
    inWorld((ground) =>
      Effect.gen(function* () {
        const ino = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { kinds, settings: short })
            const made = yield* scene(ground)
            yield* Effect.sleep(200)
            return made
          })
        )
        yield* host(ground, { kinds, settings: short })
        yield* minutePasses(ground)
        yield* checkAfter(ground, ino)
      })
    )
  })
})
