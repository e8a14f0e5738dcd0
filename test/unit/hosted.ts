/** A shard of banks over the adapters in memory, in a world of its own time, with what a test wants to look at. */
import { Context, Effect, Layer, Logger, References, type Scope } from "effect"
import type { Decider } from "../../actors/decider.ts"
import { layer as memoryBus } from "../../adapters/memory/bus.ts"
import { type JournalStore, journalStore, layer as memoryJournal } from "../../adapters/memory/journal.ts"
import { make as memoryObjects } from "../../adapters/memory/objects.ts"
import { deadlineHeader, idHeader } from "../../messages/envelope.ts"
import { subjectOf, type Verb } from "../../messages/subjects.ts"
import { keep } from "../../runtime/actor/keep.ts"
import { type Kind, kindOf } from "../../runtime/actor/kind.ts"
import { type Settings, settings } from "../../runtime/actor/owned.ts"
import type { Ports, Serving } from "../../runtime/actor/owner.ts"
import { type Client, client } from "../../runtime/client.ts"
import { Bus } from "../../runtime/ports/bus.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { Objects } from "../../runtime/ports/objects.ts"
import { Snapshots } from "../../runtime/ports/snapshots.ts"
import { layer as snapshotsLayer } from "../../runtime/snapshots.ts"
import { type Balance, type Bank, bankDecider } from "../sim/bank.ts"
import { World } from "../sim/world.ts"

export interface Logged {
  readonly level: string
  readonly text: string
}

/** What outlives a node. */
export interface Ground extends Ports {
  readonly store: JournalStore
  readonly objects: Objects["Service"]
  readonly logged: Array<Logged>
  readonly client: Client
}

const { saving: _saving, loading: _loading, ...bankAtOnce } = bankDecider

/** The bank, as it is or with some of its law broken; it is saved and loaded at once. */
export const bankLike = (changes: Partial<Decider<Balance, Bank>> = {}): Kind => kindOf({ ...bankAtOnce, ...changes })

/** Nothing is done in the background unless a test asks for it. */
export const quiet: Settings = { ...settings, shards: 1, checkpointEveryMs: 10_000_000_000, outboxRecordMs: 10 }

/** Far more than any of these tests takes: one that waits for what never comes ends soon. */
const stepsMax = 300_000

/** Runs a test in a world: its time is nobody's, and moves on when everybody waits. */
export const inWorld = <A, E>(test: (ground: Ground) => Effect.Effect<A, E, Scope.Scope>, seed = 7): A => {
  const logged: Array<Logged> = []
  const logger = Logger.make(({ message, logLevel }) => {
    const parts = Array.isArray(message) ? message : [message]
    logged.push({ level: logLevel, text: parts.map(textOf).join(" ") })
  })
  const whole = Effect.flatMap(groundOf(logged), test).pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "Info")
  )
  return new World(seed).run(whole, stepsMax)
}

const textOf = (part: unknown): string =>
  typeof part === "string" ? part : part instanceof Error ? `${part.name}: ${part.message}` : JSON.stringify(part)

const groundOf = Effect.fnUntraced(function* (logged: Array<Logged>) {
  const store = journalStore()
  const objects = memoryObjects()
  const bus = Context.get(yield* Layer.build(Layer.fresh(memoryBus)), Bus)
  const journal = Context.get(yield* Layer.build(memoryJournal(store)), Journal)
  const stored = snapshotsLayer().pipe(Layer.provide(Layer.succeed(Objects, objects)))
  const snapshots = Context.get(yield* Layer.build(stored), Snapshots)
  const ground: Ground = { store, objects, bus, journal, snapshots, logged, client: client(bus, 1) }
  return ground
})

export interface Hosted {
  /** Throws while the shard is not served. */
  readonly serving: () => Serving
  readonly isServing: () => boolean
}

export interface HostedOptions {
  readonly kinds?: ReadonlyArray<Kind>
  readonly settings?: Partial<Settings>
  readonly mayAnswer?: () => boolean
  /** Whether to wait until the shard is served. */
  readonly isAwaited?: boolean
}

/** Serves the one shard in the current scope. */
export const host = Effect.fnUntraced(function* (ground: Ground, options: HostedOptions = {}) {
  const kinds = new Map((options.kinds ?? [bankLike()]).map((kind) => [kind.name, kind]))
  let serving: Serving | undefined
  const keeping = {
    shard: 0,
    node: "n1",
    kinds,
    settings: { ...quiet, ...options.settings },
    client: ground.client,
    mayAnswer: options.mayAnswer ?? (() => true),
    changed: (now: Serving | undefined) => {
      serving = now
    }
  }
  yield* Effect.forkScoped(keep(ground, keeping))
  while (options.isAwaited !== false && serving === undefined) yield* Effect.sleep(1)
  return {
    isServing: () => serving !== undefined,
    serving: () => {
      if (serving === undefined) throw new Error("the shard is not served now")
      return serving
    }
  } satisfies Hosted
})

export interface Telling {
  readonly id?: string
  readonly kind?: string
  readonly caller?: string
  readonly commandId?: string
  readonly deadline?: number
  readonly timeoutMs?: number
}

export interface Told {
  readonly ok?: { readonly moves: number; readonly balance: number; readonly saved: number }
  readonly refused?: { readonly _tag: string }
  readonly failed?: { readonly _tag: string; readonly why?: string; readonly position?: number; readonly log?: string }
}

const request = (verb: Verb) =>
  Effect.fnUntraced(function* (ground: Ground, name: string, body: unknown, telling: Telling = {}) {
    const { id = "a", kind = "bank", caller = "c", commandId, deadline, timeoutMs = 60_000 } = telling
    const subject = subjectOf({ verb, kind, shard: 0, id, caller, name })
    const headers = {
      ...(commandId === undefined ? {} : { [idHeader]: commandId }),
      ...(deadline === undefined ? {} : { [deadlineHeader]: String(deadline) })
    }
    const text = typeof body === "string" ? body : JSON.stringify(body)
    const message = yield* ground.bus.request(subject, { body: text, headers, timeoutMs })
    return JSON.parse(new TextDecoder().decode(message.body)) as Told
  })

/** One command, asked once: what comes back is the answer as it is. */
export const tell = request("do")
/** One query, asked once. */
export const query = request("ask")

/** Ends when this is so; the world reports that nothing comes of it when it never is. */
export const until = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep(1)
  })
