/** What an actor costs in memory: put away, and in use. What stands for a disk or a store is not counted as its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Context, Effect, Layer, type Scope } from "effect"
import "effect/schema/SchemaJITCompiler/enable"
import { accountDecider } from "../../actors/account/account.ts"
import { layer as memoryBus } from "../../adapters/memory/bus.ts"
import { journalStore, layer as memoryJournal } from "../../adapters/memory/journal.ts"
import { shardOf } from "../../messages/subjects.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { type Settings, settings } from "../../runtime/actor/owned.ts"
import { type Serving, serve } from "../../runtime/actor/owner.ts"
import { client } from "../../runtime/client.ts"
import { Bus } from "../../runtime/ports/bus.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import type { Snapshots } from "../../runtime/ports/snapshots.ts"

const idleActors = 100_000
const activeActors = 10_000
/** Enough that every code path is compiled and every table has grown before memory is looked at. */
const warmActors = 2_000
const shards = 16
/** Commands that wait in all mailboxes at once. */
const inFlight = 512

/** An organisation that is founded and makes two workspaces: three entries. */
const commands = [
  ["FoundOrganisation", "{}"],
  ["CreateWorkspace", '{"name":"home"}'],
  ["CreateWorkspace", '{"name":"shared"}']
] as const

const print = (line: object): void => console.log(JSON.stringify(line))

/** Snapshots in one piece of memory that is there before the first measurement, as a store's would be elsewhere. */
const slab = (actors: number): Snapshots["Service"] => {
  const slotBytes = 2048
  const kept = Buffer.alloc(actors * slotBytes)
  const slotOf = (name: string): Buffer | undefined => {
    const number = /^actors\/account\/org-(\d+)$/.exec(name)?.[1]
    return number === undefined
      ? undefined
      : kept.subarray(Number(number) * slotBytes, (Number(number) + 1) * slotBytes)
  }
  const newest = (name: string) => {
    const slot = slotOf(name)
    const version = slot?.readUInt32LE(0) ?? 0
    if (slot === undefined || version === 0) return undefined
    return { version, bytes: Buffer.from(slot.subarray(8, 8 + slot.readUInt32LE(4))) }
  }
  return {
    prune: () => Effect.void,
    save: (name, { version, bytes: given }) =>
      Effect.sync(() => {
        const slot = slotOf(name)
        if (slot === undefined) return
        const bytes = given instanceof Uint8Array ? given : Buffer.concat(given)
        if (bytes.length > slotBytes - 8) throw new Error(`${name} takes ${bytes.length} bytes`)
        slot.writeUInt32LE(version, 0)
        slot.writeUInt32LE(bytes.length, 4)
        slot.set(bytes, 8)
      }),
    latest: (name) => Effect.sync(() => newest(name)),
    at: (name) => Effect.sync(() => newest(name))
  }
}

const node = Effect.fnUntraced(function* (actors: number, changes: Partial<Settings>) {
  const store = journalStore()
  const journal = Context.get(yield* Layer.build(memoryJournal(store)), Journal)
  const bus = Context.get(yield* Layer.build(memoryBus), Bus)
  const ports = { journal, bus, snapshots: slab(actors) }
  const owning = {
    node: "bench",
    kinds: new Map([["account", kindOf(accountDecider)]]),
    settings: { ...settings, shards, logBytesMax: 0, logEntriesMax: 0, checkpointEveryMs: 50, ...changes },
    client: client(bus, shards),
    mayAnswer: () => true
  }
  const served: Array<Serving> = []
  for (let shard = 0; shard < shards; shard++) served.push(yield* serve(ports, { ...owning, shard }))
  return {
    served,
    entriesLeft: () => [...store.logs.values()].reduce((sum, log) => sum + log.frames.length, 0),
    inMemory: () => served.reduce((sum, { actors: held }) => sum + held.cells.size, 0)
  }
})

type Node = Effect.Success<ReturnType<typeof node>>

/** Sends every actor from one number up to another all of its commands; ends when the last is answered. */
const use = (to: Node, from: number, until: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const count = (until - from) * commands.length
    let sent = 0
    let done = 0
    const send = (): void => {
      if (sent === count) return
      const actor = from + Math.floor(sent / commands.length)
      const [name, body] = commands[sent % commands.length] as (typeof commands)[number]
      const id = `org-${actor}`
      sent += 1
      to.served[shardOf("account", id, shards)]?.offer({
        verb: "do",
        kind: "account",
        id,
        caller: "bench",
        name,
        body,
        commandId: `bench:${sent}`,
        deadline: 0,
        answer: (text) => {
          if (!text.startsWith('{"ok"')) resume(Effect.die(new Error(`${id} ${name}: ${text}`)))
          done += 1
          if (done === count) resume(Effect.void)
          else setImmediate(send)
        }
      })
    }
    for (let lane = 0; lane < inFlight; lane++) send()
  })

const waitUntil = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep(20)
  })

/** Heap and what hangs on it, once nothing can be collected any more. */
const memory = Effect.gen(function* () {
  const { gc } = globalThis
  if (gc === undefined) throw new Error("this part runs with --expose-gc")
  let least = Number.POSITIVE_INFINITY
  for (let time = 0; time < 5; time++) {
    yield* Effect.sleep(50)
    gc()
    const { heapUsed, external } = process.memoryUsage()
    least = Math.min(least, heapUsed + external)
  }
  return least
})

const idle = Effect.gen(function* () {
  const made = yield* node(warmActors + idleActors, { idleMs: 100 })
  const isPutAway = () => made.inMemory() === 0 && made.entriesLeft() === 0
  yield* use(made, 0, warmActors)
  yield* waitUntil(isPutAway)
  const before = yield* memory
  const started = performance.now()
  yield* use(made, warmActors, warmActors + idleActors)
  const created = performance.now()
  yield* waitUntil(isPutAway)
  const away = performance.now()
  const bytes = (yield* memory) - before
  print({
    bench: "passivated actors",
    actors: idleActors,
    entriesEach: commands.length,
    unit: "bytes of memory each",
    ours: Number((bytes / idleActors).toFixed(2)),
    createdPerSecond: Math.round(idleActors / ((created - started) / 1000)),
    secondsUntilAllAway: Number(((away - created) / 1000).toFixed(1))
  })
})

const active = Effect.gen(function* () {
  const made = yield* node(warmActors + activeActors, { idleMs: 1e12 })
  const isWritten = () => made.entriesLeft() === 0
  yield* use(made, 0, warmActors)
  yield* waitUntil(isWritten)
  const before = yield* memory
  yield* use(made, warmActors, warmActors + activeActors)
  yield* waitUntil(isWritten)
  const bytes = (yield* memory) - before
  print({
    bench: "active actors",
    actors: activeActors,
    entriesEach: commands.length,
    unit: "bytes of memory each",
    ours: Math.round(bytes / activeActors)
  })
})

const parts: Readonly<Record<string, Effect.Effect<void, unknown, Scope.Scope>>> = { idle, active }

export const main = async (): Promise<void> => {
  for (const part of Object.keys(parts)) {
    // Each in a process of its own, in which nothing else has grown, and whose memory can be swept.
    const child = spawn(process.execPath, ["--expose-gc", import.meta.filename, part], { stdio: "inherit" })
    const [code] = await once(child, "exit")
    if (code !== 0) throw new Error(`measuring ${part} actors ended with ${code}`)
  }
}

if (import.meta.main) {
  const part = parts[process.argv[2] ?? ""]
  if (part === undefined) await main()
  else await Effect.runPromise(Effect.scoped(part))
}
