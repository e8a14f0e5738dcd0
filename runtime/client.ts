/** Asks an actor, wherever it lives, and keeps on asking with the same command id until it answers or patience ends. */
import { Clock, Effect, Random, Schema } from "effect"
import { type Answer, deadlineHeader, Failure, idHeader, isRetryable } from "../messages/envelope.ts"
import { attemptMs, patienceMs } from "../messages/limits.ts"
import { shardOf, subjectOf, type Verb } from "../messages/subjects.ts"
import type { Bus } from "./ports/bus.ts"

/** Nobody answered in time. A command may or may not have been done; asking again with the same id is safe. */
export class Unanswered extends Schema.TaggedError<Unanswered>()("Unanswered", {
  subject: Schema.String,
  commandId: Schema.String,
  why: Schema.String,
  failure: Schema.optionalKey(Failure)
}) {}

export interface Ask {
  readonly verb: Verb
  readonly kind: string
  readonly id: string
  readonly caller: string
  readonly name: string
  /** JSON. */
  readonly body: string
  /** Chosen at random when absent. */
  readonly commandId?: string
  readonly patienceMs?: number
}

export interface Client {
  readonly ask: (ask: Ask) => Effect.Effect<Answer<unknown, { readonly _tag: string }>, Unanswered>
}

const firstPauseMs = 10
/** A shard moves within some hundred milliseconds: a longer pause would be most of what its callers wait. */
const pauseMsMax = 250

type Attempt =
  | { readonly answer: Answer<unknown, { readonly _tag: string }> }
  | { readonly again: string; readonly afterMs: number; readonly failure?: Failure }

const decoder = new TextDecoder()

export const client = (bus: Bus["Service"], shards: number): Client => {
  const attempt = Effect.fnUntraced(function* (subject: string, ask: Ask, commandId: string, deadline: number) {
    const now = yield* Clock.currentTimeMillis
    const timeoutMs = Math.max(1, Math.min(attemptMs, deadline - now))
    const headers = { [idHeader]: commandId, [deadlineHeader]: String(deadline) }
    return yield* bus.request(subject, { body: ask.body, headers, timeoutMs }).pipe(
      Effect.map((message): Attempt => readAnswer(decoder.decode(message.body))),
      Effect.catch((error) =>
        Effect.succeed<Attempt>({ again: "why" in error ? `${error._tag}: ${error.why}` : error._tag, afterMs: 0 })
      )
    )
  })
  return {
    ask: Effect.fnUntraced(function* (ask) {
      const { verb, kind, id, caller, name } = ask
      const subject = subjectOf({ verb, kind, shard: shardOf(kind, id, shards), id, caller, name })
      const commandId = ask.commandId ?? (yield* randomId)
      const deadline = (yield* Clock.currentTimeMillis) + (ask.patienceMs ?? patienceMs)
      for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, pauseMsMax)) {
        const tried = yield* attempt(subject, ask, commandId, deadline)
        if ("answer" in tried) return tried.answer
        const wait = Math.max(tried.afterMs, Math.ceil(pause * (0.5 + (yield* Random.next))))
        if ((yield* Clock.currentTimeMillis) + wait >= deadline) {
          const failure = tried.failure === undefined ? {} : { failure: tried.failure }
          return yield* new Unanswered({ subject, commandId, why: tried.again, ...failure })
        }
        yield* Effect.sleep(wait)
      }
    })
  }
}

const readAnswer = (text: string): Attempt => {
  const answer = JSON.parse(text) as Answer<unknown, { readonly _tag: string }>
  if (!("failed" in answer) || !isRetryable(answer.failed)) return { answer }
  const { failed } = answer
  const afterMs = failed._tag === "Busy" ? failed.retryAfterMs : 0
  return { again: failed._tag === "Unavailable" ? failed.why : failed._tag, afterMs, failure: failed }
}

/** A command id that no other command has: 106 random bits. */
export const randomId = Effect.gen(function* () {
  const high = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
  const low = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
  return `${high.toString(36)}-${low.toString(36)}`
})
