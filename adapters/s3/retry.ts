/** Asks a store again when that may help: with full jitter, a bounded number of times, within bounded time. */
import { Clock, Effect, Metric, Random } from "effect"
import { StoreDown, type StoreFailed, StoreRefused } from "../../runtime/ports/objects.ts"
import type { Trouble } from "./exchange.ts"
import type { S3Limits } from "./limits.ts"

/** What the attempts before this one leave behind. */
export interface Past {
  readonly attempts: number
  /** One of them may have been carried out although its answer never came. */
  readonly unsure: boolean
}

/** How often a store had to be asked again: what rises before it is away. */
export const retriesCount = Metric.counter("artifacts_s3_retries_total", { incremental: true })

const none: Past = { attempts: 0, unsure: false }

/** Runs attempts until one gives a result or it is enough. What fails at last says whether it may have been done. */
export const persist = Effect.fnUntraced(function* <A, E>(
  limits: S3Limits,
  attempt: (past: Past) => Effect.Effect<A, Trouble | E>
) {
  const began = yield* Clock.currentTimeMillis
  let past = none
  for (;;) {
    const result = yield* Effect.match(attempt(past), {
      onSuccess: (value) => ({ value }),
      onFailure: (failure) => ({ failure })
    })
    if ("value" in result) return result.value
    const { failure } = result
    if (!isTrouble(failure)) return yield* Effect.fail(failure)
    past = { attempts: past.attempts + 1, unsure: past.unsure || failure.unsure }
    const bound = Math.min(limits.waitMsMax, limits.waitMsFirst * 2 ** (past.attempts - 1))
    const waitMs = Math.max((yield* Random.next) * bound, Math.min(failure.waitMs ?? 0, limits.waitMsMax))
    const spentMs = (yield* Clock.currentTimeMillis) - began
    if (!failure.again || failure.over || past.attempts >= limits.attemptsMax || spentMs + waitMs > limits.patienceMs) {
      return yield* Effect.fail({ ...failure, unsure: past.unsure, why: attemptsSaid(failure, past.attempts) })
    }
    yield* Metric.update(retriesCount, 1)
    yield* Effect.sleep(waitMs)
  }
})

const isTrouble = (failure: unknown): failure is Trouble =>
  typeof failure === "object" && failure !== null && "_tag" in failure && failure._tag === "Trouble"

const attemptsSaid = ({ again, why }: Trouble, attempts: number): string =>
  again ? `${why} (after ${attempts} ${attempts === 1 ? "attempt" : "attempts"})` : why

/** The failure as the port has it. */
export const failureOf = (operation: string, key: string, { again, why }: Trouble): StoreFailed =>
  again ? new StoreDown({ operation, key, why }) : new StoreRefused({ operation, key, why })
