/** Applications notice nothing but a pause when whoever serves their mount is killed. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { unable } from "./fuse-able.ts"
import { killing } from "./fuse-kill.ts"

describe.skipIf(unable() !== undefined)("a mount whose server is killed", () => {
  for (const spare of [true, false]) {
    it(`goes on with another one, ${spare ? "which waits already" : "which is started then"}`, async () => {
      const { children, errors, operations } = await Effect.runPromise(killing(5, 500, spare, 2))
      expect(errors).toEqual([])
      expect(children).toBe(6)
      expect(operations).toBeGreaterThan(0)
    })
  }
})
