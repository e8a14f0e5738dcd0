/** The objects contract on the stores that need no server. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { layer as disk } from "../../adapters/disk/objects.ts"
import { layer as memory } from "../../adapters/memory/objects.ts"
import { objectsContract } from "./objects.ts"

const scratch = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "artifacts-objects-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

objectsContract("memory", memory)
objectsContract("disk", Layer.unwrap(Effect.map(scratch, disk)))
