/** The entry point: a mount's processes are started at once, and for all else the command line is loaded. */
import { mountQuickly } from "./node/quick.ts"

const args = process.argv.slice(2)
const code = await mountQuickly(args)
if (code === undefined) (await import("./cli/run.ts")).run(args)
else process.exitCode = code
