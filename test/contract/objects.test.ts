/** The objects contract on the stores that need no server. */
import { layer as memory } from "../../adapters/memory/objects.ts"
import { objectsContract } from "./objects.ts"

objectsContract("memory", memory)
