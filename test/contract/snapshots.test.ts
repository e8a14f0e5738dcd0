/** The snapshots contract over the store in memory. */
import { Layer } from "effect"
import { layer as memory } from "../../adapters/memory/objects.ts"
import { layer as snapshots } from "../../runtime/snapshots.ts"
import { snapshotsContract } from "./snapshots.ts"

snapshotsContract("over memory", Layer.provideMerge(snapshots(), memory), "")
snapshotsContract("over memory, with a prefix", Layer.provideMerge(snapshots({ prefix: "node/" }), memory), "node/")
