/** Applications notice nothing but a pause when whoever serves their mount is killed. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { leftOut } from "./fuse-able.ts"
import { killing, type Plan } from "./fuse-kill.ts"

describe.skipIf(leftOut("mounts whose server is killed"))("a mount whose server is killed", () => {
  const plan = { kills: 5, pauseMs: 500, spare: true, applications: 2, signal: "SIGKILL" } as const
  const cases: ReadonlyArray<readonly [string, Plan]> = [
    ["which waits already", plan],
    ["which is started then", { ...plan, spare: false }],
    ["to which it leaves the mount when it is asked to", { ...plan, signal: "SIGTERM" }]
  ]
  for (const [how, chosen] of cases) {
    it(`goes on with another one, ${how}`, async () => {
      const { children, errors, operations } = await Effect.runPromise(killing(chosen))
      expect(errors).toEqual([])
      expect(children).toBe(6)
      expect(operations).toBeGreaterThan(0)
    })
  }
})
