/** Gives back, at a good moment, what loading a large state left behind: nothing else would make a collector look. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Below this it is not worth the pause. */
const worthBytes = 128 * 1024 * 1024

/** Of this thread alone. It takes some fifty milliseconds for a million entries. */
export const collect = (): void => {
  if (process.memoryUsage().external < worthBytes) return
  setFlagsFromString("--expose-gc")
  const run = runInNewContext("gc") as () => void
  run()
}
