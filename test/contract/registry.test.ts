/** The registry that needs no server keeps the promises of the port. */
import { Effect } from "effect"
import { layer, registryStore } from "../../adapters/memory/registry.ts"
import { registryContract } from "./registry.ts"

registryContract("memory", { make: Effect.sync(() => layer(registryStore())) })
