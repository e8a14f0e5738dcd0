/** Objects of simulated streams: none that is needed is missing, and none is there that nobody knows of. */
import { Effect, Stream } from "effect"
import type { State } from "../../actors/stream-partition/state.ts"
import type { Objects } from "../../runtime/ports/objects.ts"
import type { Partitions } from "../../runtime/streams/partitions.ts"

const tries = 100

/** As its owner has it. */
const stateOf = Effect.fnUntraced(function* (nodes: ReadonlyArray<Partitions>, partition: number) {
  for (let each = 0; each < tries; each++) {
    for (const partitions of nodes) {
      if (!partitions.isServedHere(partition)) continue
      yield* partitions.asked(partition, { _tag: "ShowSubscription", id: "-" }, "tester")
      const state = partitions.peek(partition)?.state
      if (state !== undefined) return state
    }
    yield* Effect.sleep(50)
  }
  return undefined
})

const judge = (id: string, { objects, garbage, planned }: State, stored: ReadonlySet<string>): Array<string> => {
  const known = (key: string): boolean => objects.has(key) || garbage.has(key) || planned.has(key)
  const own = [...stored].filter((key) => key.startsWith(`streams/${id}/`))
  return [
    ...own.filter((key) => !known(key)).map((key) => `${key} is left behind`),
    ...[...objects.keys()].filter((key) => !stored.has(key)).map((key) => `${key} is needed, and was deleted`)
  ]
}

/** In a healed world, some time after everybody has finished. */
export const leftovers = Effect.fnUntraced(function* (store: Objects["Service"], nodes: ReadonlyArray<Partitions>) {
  const faults: Array<string> = []
  for (const [partition, id] of nodes[0]?.ids.entries() ?? []) {
    const state = yield* stateOf(nodes, partition)
    const pages = yield* Stream.runCollect(store.list(`streams/${id}/`)).pipe(Effect.orDie)
    const stored = new Set([...pages].flat().map(({ key }) => key))
    if (state === undefined) faults.push(`nobody has ${id}`)
    else faults.push(...judge(id, state, stored))
  }
  return faults
})
