/** Slice ids, asked for in batches so that a write waits for none. */
import { Effect, Semaphore } from "effect"
import type { CommandFailed, Commands } from "./commands.ts"

/** A gibibyte of full blocks' worth in small files; the ones that are left over cost an entry of the garbage queue. */
const batchIds = 1024

export interface SliceIds {
  readonly take: Effect.Effect<number, CommandFailed>
}

export const sliceIds = (commands: Commands): Effect.Effect<SliceIds> =>
  Effect.map(Semaphore.make(1), (one) => {
    let next = 0
    let left = 0
    const given = (): number => {
      left -= 1
      return next++
    }
    const more = Effect.suspend(() =>
      left > 0
        ? Effect.void
        : Effect.map(commands.reserveSlices(batchIds), (batch) => {
            next = batch.first
            left = batch.count
          })
    )
    const slow = one.withPermits(1)(Effect.map(more, given))
    return { take: Effect.suspend(() => (left > 0 ? Effect.succeed(given()) : slow)) }
  })
