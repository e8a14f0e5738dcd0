/**
 * Kills the owner of streams every five seconds: `npm run bench -- streams-crash [--seconds N] [--only
 * alone|cluster]`.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { find } from "../real/servers.ts"
import { killedAlone, killedInCluster } from "../real/streams-kills.ts"

const everyMs = 5_000

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "120" },
      only: { type: "string" },
      json: { type: "boolean", default: false }
    }
  })
  const seconds = Number(values.seconds)
  if (!(seconds >= 5)) throw new Error("--seconds takes a number from 5 on")
  const kills = Math.ceil((seconds * 1000) / everyMs)
  const say = ({ bench, ...told }: { readonly bench: string; readonly faults: ReadonlyArray<string> }): void => {
    console.log(JSON.stringify({ bench, ...told }))
    if (told.faults.length > 0) process.exitCode = 1
  }
  if (values.only !== "cluster") {
    const told = await Effect.runPromise(Effect.scoped(killedAlone({ kills, everyMs, hotBytes: 100_000 })))
    say({ bench: "streams, kill -9, alone", ...told })
  }
  if (values.only === "alone") return
  if (find("nats") === undefined)
    return console.log(JSON.stringify({ bench: "streams, kill -9, cluster", skipped: "there is no nats-server" }))
  const told = await Effect.runPromise(Effect.scoped(killedInCluster({ kills, everyMs, hotBytes: 100_000 })))
  say({ bench: "streams, kill -9, cluster", ...told })
}
