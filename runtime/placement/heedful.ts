/** A bus that gives requests up when shards change hands: who was asked may have died, and whoever asks asks again. */
import { Effect } from "effect"
import { leasesSubject } from "../../messages/subjects.ts"
import { type Bus, TimedOut } from "../ports/bus.ts"

/** A request that is given up has timed out early: it may have been handled, and the next attempt has the same id. */
export const heedful = Effect.fnUntraced(function* (bus: Bus["Service"]) {
  const waiting = new Set<() => void>()
  const givenUp = (subject: string) =>
    Effect.callback<never, TimedOut>((resume) => {
      const giveUp = (): void => {
        waiting.delete(giveUp)
        resume(Effect.fail(new TimedOut({ subject })))
      }
      waiting.add(giveUp)
      return Effect.sync(() => waiting.delete(giveUp))
    })
  yield* bus.subscribe(leasesSubject, () => {
    for (const giveUp of [...waiting]) giveUp()
  })
  const heeding: Bus["Service"] = {
    ...bus,
    request: (subject, send) => Effect.raceFirst(bus.request(subject, send), givenUp(subject))
  }
  return heeding
})
