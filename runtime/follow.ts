/** Follows one actor from outside: its whole state once, then every committed entry, in order and without a gap. */
import { Clock, Effect, Schema } from "effect"
import { eventsSubject, shardOf } from "../messages/subjects.ts"
import { Signal } from "./actor/signal.ts"
import type { Client, Unanswered } from "./client.ts"
import { joining, sharedRoom, unpacking } from "./packed.ts"
import type { Bus, BusDown } from "./ports/bus.ts"
import { inSteps } from "./steps.ts"

/** An entry as it is published: the events are those of the actor's protocol. */
export interface Published {
  readonly version: number
  readonly position: number
  readonly at: number
  readonly caller: string
  readonly cause: string
  readonly events: ReadonlyArray<unknown>
}

/** The actor does not let itself be followed, or this caller may not ask. */
export class NotFollowed extends Schema.TaggedError<NotFollowed>()("NotFollowed", {
  actor: Schema.String,
  why: Schema.String
}) {}

/** What a follower does with what it hears. Both are called in order, and never at the same time. */
export interface Fold {
  /** Forgets everything and starts from this state. */
  readonly load: (state: Uint8Array, version: number) => void
  readonly apply: (entries: ReadonlyArray<Published>) => void
  /** Without a state: whatever is believed is to be forgotten, and what follows is what comes behind this version. */
  readonly forget?: (version: number) => void
  /** The tail is known to be complete up to now, or is not any more. */
  readonly live?: (isLive: boolean) => void
}

export interface Followed {
  /** The version up to which the fold has come. */
  readonly version: () => number
  /** Milliseconds since the tail was last known to be complete. */
  readonly lagMs: () => number
  /** Ends when the fold has come to this version. */
  readonly reached: (version: number) => Effect.Effect<void>
  /** Asks the actor, within a moment, whether something was missed. */
  readonly look: () => void
}

/**
 * How often an idle tail is compared with the actor. A message that was lost is noticed after so long at the latest.
 */
const checkEveryMs = 2_000
/** Past this the tail counts as lost, and what is folded may be old. */
const lostAfterMs = 6_000
const judgeEveryMs = 1_000

/** Parts of a state that are asked for at once: while one is on its way, the next is made. */
const partsAtOnce = 4

interface Target {
  readonly kind: string
  readonly id: string
  readonly caller: string
  readonly shards: number
}

/** One entry, or several that were committed together. */
const published = (text: string): ReadonlyArray<Published> => {
  const read = JSON.parse(text) as Published | ReadonlyArray<Published>
  return "version" in read ? [read] : read
}

class Tail {
  version = 0
  isLoaded = false
  checkedAt = 0
  isLive = false
  private early: Array<Published> = []
  private waiting: Array<{ readonly version: number; readonly wake: () => void }> = []
  readonly gap = new Signal()
  private readonly fold: Fold

  constructor(fold: Fold) {
    this.fold = fold
  }

  get isStateless(): boolean {
    return this.fold.forget !== undefined
  }

  /** What was asked for may have been heard meanwhile: nobody goes back to what was so before. */
  load(state: Uint8Array, version: number): void {
    if (this.isLoaded && this.version >= version) return
    this.fold.load(state, version)
    this.begun(version)
  }

  begin(version: number): void {
    if (this.isLoaded && this.version >= version) return
    this.fold.forget?.(version)
    this.begun(version)
  }

  private begun(version: number): void {
    this.version = version
    this.isLoaded = true
    const early = this.early
    this.early = []
    this.hear(early)
    this.wake()
  }

  /** Takes entries in any order and any number of times; what is missing in front of them is asked for. */
  hear(entries: ReadonlyArray<Published>): void {
    if (!this.isLoaded) {
      this.early.push(...entries)
      return
    }
    const fresh = entries.filter((entry) => entry.version > this.version)
    let next = 0
    while (next < fresh.length && (fresh[next] as Published).version === this.version + 1 + next) next += 1
    if (next > 0) {
      this.version += next
      this.fold.apply(fresh.slice(0, next))
      this.wake()
    }
    if (next < fresh.length) this.gap.set()
  }

  /** Nothing was missing at that moment; the answer may have been under way for long. */
  checked(asked: number, now: number): void {
    this.checkedAt = asked
    this.judge(now)
  }

  /** What was not looked for since too long may be missing. */
  judge(now: number): void {
    const isLive = this.isLoaded && now - this.checkedAt <= lostAfterMs
    if (isLive === this.isLive) return
    this.isLive = isLive
    this.fold.live?.(isLive)
  }

  reached(version: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.isLoaded && this.version >= version) {
        resume(Effect.void)
        return
      }
      const waiter = { version, wake: () => resume(Effect.void) }
      this.waiting.push(waiter)
      // What is waited for may have been lost on its way.
      this.gap.set()
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((each) => each !== waiter)
      })
    })
  }

  private wake(): void {
    const ready = this.waiting.filter(({ version }) => version <= this.version)
    if (ready.length === 0) return
    this.waiting = this.waiting.filter(({ version }) => version > this.version)
    for (const { wake } of ready) wake()
  }
}

/** Returns once the state is loaded and whatever came behind it, and follows for as long as the scope lasts. */
export const follow = Effect.fnUntraced(function* (bus: Bus["Service"], client: Client, target: Target, fold: Fold) {
  const { kind, id, shards } = target
  const clock = yield* Clock.Clock
  const tail = new Tail(fold)
  const decoder = new TextDecoder()
  yield* bus.subscribe(eventsSubject(kind, shardOf(kind, id, shards), id), (message) =>
    tail.hear(published(decoder.decode(message.body)))
  )
  yield* loadState(client, target, tail)
  // It may have been made for somebody else, a while ago.
  yield* catchUp(client, target, tail)
  const check = Effect.gen(function* () {
    for (;;) {
      yield* Effect.raceFirst(Effect.sleep(checkEveryMs), tail.gap.wait)
      yield* catchUp(client, target, tail).pipe(
        Effect.catch((error) => Effect.logWarning(`${kind}/${id} cannot be followed at the moment`, error))
      )
    }
  })
  yield* Effect.forkScoped(check)
  // Whoever is looked for may take long to answer, and what is told meanwhile gets older.
  const judge = Effect.gen(function* () {
    for (;;) {
      yield* Effect.sleep(judgeEveryMs)
      tail.judge(yield* Clock.currentTimeMillis)
    }
  })
  yield* Effect.forkScoped(judge)
  return {
    version: () => tail.version,
    lagMs: () => clock.currentTimeMillisUnsafe() - tail.checkedAt,
    reached: (version) => tail.reached(version),
    look: tail.gap.set
  } satisfies Followed
})

const ask = Effect.fnUntraced(function* (client: Client, target: Target, name: string, fields: object) {
  const { kind, id, caller } = target
  const answer = yield* client.ask({ verb: "ask", kind, id, caller, name, body: JSON.stringify(fields) })
  if ("ok" in answer) return answer.ok
  const why = JSON.stringify("refused" in answer ? answer.refused : answer.failed)
  return yield* new NotFollowed({ actor: `${kind}/${id}`, why })
})

interface StatePart {
  readonly version: number
  /** Of the state itself, which comes packed. */
  readonly size: number
  readonly blocks: number
  readonly parts: number
  readonly bytes: string
}

/** Behind whatever there is. */
const newest = Number.MAX_SAFE_INTEGER

/** A large state comes in parts; when the actor has put it away in between, the whole is asked for again. */
const loadState = Effect.fnUntraced(function* (client: Client, target: Target, tail: Tail) {
  if (tail.isStateless) {
    const { version } = (yield* ask(client, target, "Since", { version: newest })) as Since
    return tail.begin(version)
  }
  for (;;) {
    const first = (yield* ask(client, target, "State", { part: 0 })) as StatePart
    const { version, parts } = first
    const next = (part: number) =>
      Effect.map(ask(client, target, "State", { part, version }), (answer) => answer as StatePart)
    const rest = yield* Effect.forEach(
      Array.from({ length: parts - 1 }, (_, at) => at + 1),
      next,
      { concurrency: partsAtOnce }
    )
    if (rest.some((part) => part.version !== version)) continue
    const packed = yield* inSteps(joining([first, ...rest].map(({ bytes }) => Buffer.from(bytes, "base64"))))
    const blocks = Buffer.from(packed.buffer, packed.byteOffset, packed.length)
    const state = yield* inSteps(unpacking(blocks, 0, first, sharedRoom))
    if ("damage" in state) throw new Error(`the state of ${target.kind}/${target.id} came damaged: ${state.damage}`)
    tail.load(state, version)
    return
  }
})

interface Since {
  readonly forgotten?: boolean
  readonly entries?: ReadonlyArray<Published>
  readonly version: number
}

/** Asks for what is missing, until there is nothing more. */
const catchUp = Effect.fnUntraced(function* (client: Client, target: Target, tail: Tail) {
  for (;;) {
    const asked = yield* Clock.currentTimeMillis
    const since = (yield* ask(client, target, "Since", { version: tail.version })) as Since
    if (since.forgotten === true) yield* loadState(client, target, tail)
    else tail.hear(since.entries ?? [])
    if (tail.version < since.version) continue
    tail.checked(asked, yield* Clock.currentTimeMillis)
    return
  }
})

export type FollowFailed = NotFollowed | Unanswered | BusDown
