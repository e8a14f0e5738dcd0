/** Objects that a node writes for a partition: announced there first, so that a crash leaves none behind. */
import { Effect, Schema } from "effect"
import { StoreDown } from "../ports/objects.ts"
import type { Partitions } from "./partitions.ts"

/** For so long it may be committed: longer than anybody keeps on trying to write it, and than a commit takes. */
export const plannedMs = 3_600_000
/** What is not written in this part of the time is given up: it may not come to be when it counts as left behind. */
const writingShare = 1 / 4

/** The partition did not hear of the object, so it was not written. */
export class Unannounced extends Schema.TaggedError<Unannounced>()("Unannounced", { why: Schema.String }) {}

export interface Announcing {
  readonly folder?: string
  readonly name?: string
  readonly forMs?: number
}

/** Gives the name of an object that the partition knows of, and writes it. */
export const announced = <A, E>(
  partitions: Partitions,
  partition: number,
  write: (object: string) => Effect.Effect<A, E>,
  { folder = "", name = partitions.freshId(), forMs = plannedMs }: Announcing = {}
): Effect.Effect<A, E | Unannounced | StoreDown> =>
  Effect.suspend((): Effect.Effect<A, E | Unannounced | StoreDown> => {
    const object = `streams/${partitions.ids[partition]}/${folder}${name}`
    const late = new StoreDown({ operation: "put", key: object, why: "it takes longer than it may" })
    const written = Effect.timeoutOrElse(write(object), {
      duration: forMs * writingShare,
      orElse: () => Effect.fail(late)
    })
    const telling = partitions.told(partition, { _tag: "PlanObjects", objects: [object], forMs }, "node")
    return Effect.flatMap(
      telling,
      (told): Effect.Effect<A, E | Unannounced | StoreDown> => ("ok" in told ? written : unannounced(told))
    )
  })

const unannounced = (told: object): Effect.Effect<never, Unannounced> =>
  Effect.fail(new Unannounced({ why: JSON.stringify(told).slice(0, 300) }))
