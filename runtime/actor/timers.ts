/** Wakes actors when their time has come. What is due is folded from the log, so it survives the owner. */
import { Clock, Effect } from "effect"
import { isRetryable } from "../../messages/envelope.ts"
import type { Owned } from "./owned.ts"
import { timerCaller } from "./shard.ts"
import type { Signal } from "./signal.ts"

/** How long a `Tick` waits that met a full mailbox or an actor that cannot be read now. */
const againMs = 1_000

/** How long an actor rests that fell over its `Tick`: it may fall again, and each time is reported. */
const fallenMs = 60_000

/** The longest sleep a timer can be set to; whoever waits longer is looked at again. */
const sleepMsMax = 2 ** 31 - 1

export const timers = Effect.fnUntraced(function* (owned: Owned, changed: Signal) {
  for (let ticks = 0; ; ) {
    const now = yield* Clock.currentTimeMillis
    for (const key of owned.dues.takeDue(now)) {
      ticks += 1
      tick(owned, key, { now, commandId: `tick:${owned.log.epoch}:${ticks}` }, changed)
    }
    const { next } = owned.dues
    if (next === undefined) yield* changed.wait
    else yield* Effect.raceFirst(Effect.sleep(Math.min(Math.max(next - now, 1), sleepMsMax)), changed.wait)
  }
})

const tick = (
  owned: Owned,
  key: string,
  { now, commandId }: { readonly now: number; readonly commandId: string },
  changed: Signal
): void => {
  const slash = key.indexOf("/")
  owned.offer({
    verb: "do",
    kind: key.slice(0, slash),
    id: key.slice(slash + 1),
    caller: timerCaller,
    name: "Tick",
    body: "",
    commandId,
    deadline: 0,
    answer: (text) => {
      const { failed } = JSON.parse(text)
      if (failed === undefined) owned.dues.met(key)
      if (failed === undefined) return
      owned.dues.set(key, now + (isRetryable(failed) ? againMs : fallenMs))
      changed.set()
    }
  })
}
