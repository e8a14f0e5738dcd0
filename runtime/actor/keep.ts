/** Keeps one shard served: claims it, listens for it, and begins again when the claim is lost. */
import { Clock, Effect, Random } from "effect"
import { shardSubject } from "../../messages/subjects.ts"
import type { Corrupt } from "../ports/journal.ts"
import { failedText } from "./delivery.ts"
import { receiveAll } from "./many.ts"
import { meters } from "./meters.ts"
import { type Owning, type Ports, type Serving, serve } from "./owner.ts"

/** How long a shard rests whose log is damaged, before it is looked at again. */
const damagedMs = 30_000

/** How long a shard rests that fell over a defect of ours: it may fall again, and each time is reported. */
const fallenMs = 5_000

/** Between two attempts to claim a log that is away; each that fails at once doubles it. */
const againMs = 200
const againMsMax = 5_000
/** A shard that was served for this long was well: the next attempt comes soon again. */
const wellMs = 10_000

export interface Keeping extends Owning {
  /** Called whenever the shard begins or ends to be served here. */
  readonly changed: (serving: Serving | undefined) => void
}

/** Runs until it is interrupted. */
export const keep = Effect.fnUntraced(function* (ports: Ports, keeping: Keeping) {
  for (let pause = againMs; ; pause = Math.min(pause * 2, againMsMax)) {
    const began = yield* Clock.currentTimeMillis
    yield* once(ports, keeping).pipe(
      Effect.scoped,
      Effect.catchTags({
        Fenced: (error) => Effect.logWarning(`shard ${keeping.shard} was claimed by another node`, error),
        Unavailable: (error) => Effect.logWarning(`the log of shard ${keeping.shard} is away`, error),
        StoreDown: (error) => Effect.logWarning(`the snapshots of shard ${keeping.shard} are away`, error),
        StoreRefused: (error) => Effect.logError(`the snapshots of shard ${keeping.shard} cannot be read`, error),
        BusDown: (error) => Effect.logWarning("the bus is away", error),
        Corrupt: (error) => rest(ports, keeping, error)
      }),
      Effect.catchDefect((defect) => fallen(keeping, defect))
    )
    if ((yield* Clock.currentTimeMillis) - began > wellMs) pause = againMs
    yield* Effect.sleep(Math.ceil(pause * (0.5 + (yield* Random.next))))
  }
})

const fallen = Effect.fnUntraced(function* ({ shard }: Keeping, defect: unknown) {
  meters.defect()
  yield* Effect.logError(`shard ${shard} fell over a defect of ours, and will be read again`, defect)
  yield* Effect.sleep(fallenMs)
})

const once = Effect.fnUntraced(function* (ports: Ports, keeping: Keeping) {
  const serving = yield* serve(ports, keeping)
  keeping.changed(serving)
  yield* Effect.addFinalizer(() => Effect.sync(() => keeping.changed(undefined)))
  const base = yield* Clock.currentTimeMillis
  let count = 0
  const at = {
    shard: keeping.shard,
    shards: keeping.settings.shards,
    kinds: keeping.kinds,
    freshId: () => {
      count += 1
      return `auto:${keeping.shard}:${serving.epoch}:${base}:${count}`
    }
  }
  for (const verb of ["do", "ask"] as const) {
    yield* ports.bus.subscribe(shardSubject(verb, keeping.shard), (message) => {
      for (const delivery of receiveAll(message, at)) serving.offer(delivery)
    })
  }
  return yield* serving.lost
})

/** A log that is damaged where no single actor can be blamed: nobody is answered from it, and everybody is told why. */
const rest = Effect.fnUntraced(function* (ports: Ports, keeping: Keeping, error: Corrupt) {
  yield* Effect.logError(`the log of shard ${keeping.shard} is damaged, and is not served`, error)
  const text = failedText({ _tag: "Corrupt", log: error.log, position: error.position, why: error.why })
  yield* Effect.scoped(
    Effect.gen(function* () {
      for (const verb of ["do", "ask"] as const)
        yield* ports.bus.subscribe(shardSubject(verb, keeping.shard), (message) => message.respond(text))
      yield* Effect.sleep(damagedMs)
    })
  ).pipe(Effect.catch(() => Effect.sleep(damagedMs)))
})
