/** The objects contract on the stores that need no server. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { expect, it } from "vitest"
import { layer as disk } from "../../adapters/disk/objects.ts"
import { make, layer as memory } from "../../adapters/memory/objects.ts"
import { probe } from "../../runtime/probe.ts"
import { objectsContract } from "./objects.ts"

const scratch = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "artifacts-objects-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

objectsContract("memory", memory)
objectsContract("disk", Layer.unwrap(Effect.map(scratch, disk)))

it("refuses a store in which conditional puts are not", async () => {
  const store = make("careless:")
  const noAbsent = { ...store, putIf: (key: string, bytes: Uint8Array) => store.put(key, bytes) }
  const absentAlone: typeof store = {
    ...store,
    putIf: (key, bytes, condition) =>
      "absent" in condition ? store.putIf(key, bytes, condition) : store.put(key, bytes)
  }
  for (const [careless, header] of [
    [noAbsent, "If-None-Match"],
    [absentAlone, "If-Match"]
  ] as const) {
    const refused = await Effect.runPromise(Effect.flip(probe(careless)))
    expect(refused).toMatchObject({ _tag: "StoreRefused", operation: "probe" })
    expect(refused.why).toContain(`ignores ${header} on puts`)
  }
})
