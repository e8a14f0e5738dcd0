/** Makes the state of an actor ready for followers, in steps, and answers all who wait for it. */
import { Clock, Effect } from "effect"
import { joining, packing } from "../packed.ts"
import { begun, inSteps } from "../steps.ts"
import { committed } from "./activate.ts"
import type { Cell } from "./cell.ts"
import { type Delivery, failedText } from "./delivery.ts"
import { firstPart } from "./followers.ts"

const fallen = failedText({ _tag: "Unavailable", why: "the actor fell while its state was taken" })

/** `answer` sees to it that nothing leaves that may not. */
export const handOut = Effect.fnUntraced(function* (cell: Cell, answer: (delivery: Delivery, text: string) => void) {
  const { state, version, batch, kind } = cell
  const taken = begun(kind.saving(state))
  const waiting = cell.asking
  const tell = (text: string): void => {
    if (cell.asking === waiting) cell.asking = []
    for (const delivery of waiting) answer(delivery, text)
  }
  const made = Effect.gen(function* () {
    const { parts, size, blocks } = yield* inSteps(packing(yield* taken))
    const bytes = yield* inSteps(joining(parts))
    // What it saw has to be in the log before anybody hears of it.
    yield* committed(batch)
    if (cell.state !== state) return tell(fallen)
    cell.handedOut = { version, size, blocks, bytes, at: yield* Clock.currentTimeMillis }
    tell(firstPart(cell.handedOut))
  })
  yield* made.pipe(
    Effect.catchDefect((defect) =>
      Effect.andThen(
        Effect.logError(`the state of ${cell.key} cannot be handed out`, defect),
        Effect.sync(() => tell(fallen))
      )
    ),
    Effect.onInterrupt(() => Effect.sync(() => tell(fallen)))
  )
})
