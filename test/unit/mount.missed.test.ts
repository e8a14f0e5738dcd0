/** What a kernel is told by a process that takes a mount over: all that was committed and not told, and no more. */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { initial } from "../../actors/workspace/tree/tree.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { catchUp } from "../../runtime/mount/missed.ts"
import { View } from "../../runtime/mount/view.ts"
import type { Invalidation } from "../../runtime/ports/mount.ts"

const created = (ino: number, name: string) =>
  ({
    ...{ _tag: "Created", ino, parent: 1, name, type: "file", mode: 0o644, uid: 0, gid: 0, time: [1, 0] }
  }) as unknown as WorkspaceEvent

const entry = (version: number, caller: string) => ({ version, caller, events: [created(version, `f${version}`)] })

/** An actor that keeps some entries and has forgotten those before, and gives two at a time. */
const told = (begunAt: number, upTo: number, kept: ReadonlyArray<ReturnType<typeof entry>>) => {
  const view = new View("w", "me")
  view.tree = evolve(initial("w"), created(2, "old"), 0)
  view.begunAt = begunAt
  const said: Array<Invalidation> = []
  view.invalidate = (some) => void said.push(...some)
  const ask = ({ body }: { readonly body: string }) => {
    const { version } = JSON.parse(body) as { readonly version: number }
    const first = kept[0]?.version ?? Number.POSITIVE_INFINITY
    if (version + 1 < first) return Effect.succeed({ ok: { forgotten: true } })
    return Effect.succeed({ ok: { entries: kept.filter((one) => one.version > version).slice(0, 2) } })
  }
  Effect.runSync(catchUp({ client: { ask }, view } as never, upTo))
  return said.map((one) => ("name" in one ? one.name : String(one.ino))).filter((what) => what !== "1")
}

const others = [3, 4, 5, 6, 7].map((version) => entry(version, "other"))

it("is told what others did since, in as many turns as that takes", () => {
  expect(told(6, 3, others.slice(0, 4))).toEqual(["f4", "f5", "f6"])
})

it("is told nothing where nothing was missed", () => {
  expect(told(6, 6, others)).toEqual([])
  expect(told(6, 5, [entry(5, "other"), entry(6, "me")])).toEqual([])
})

it("is to forget all where it is not known any more what was missed", () => {
  expect(told(9, 1, others)).toEqual(["old", "2"])
})
