/** A shard is kept served: claimed again when it is lost, and everybody told why when it cannot be read. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { host, inWorld, query, tell } from "./hosted.ts"

describe("a kept shard", () => {
  it("answers commands and queries", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground)
        expect(yield* tell(ground, "Deposit", { amount: 3 })).toEqual({ ok: { moves: 1, balance: 3, saved: 0 } })
        expect(yield* query(ground, "Balance", {})).toEqual({ ok: { moves: 1, balance: 3, saved: 0 } })
      })
    )
  })
})
