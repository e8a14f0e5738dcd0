/** Kills of real processes under load: `npm run bench -- crash [--kills 50] [--only embedded|cluster] [--json]`. */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { crashed } from "../real/embedded.ts"

const spread = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  return { p50: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}

const embedded = async (kills: number): Promise<void> => {
  for (const durability of ["sync", "process"] as const) {
    const { gapsMs, startsMs, ...told } = await Effect.runPromise(Effect.scoped(crashed({ kills, durability })))
    const gap = spread(gapsMs)
    const start = spread(startsMs)
    const times = { gapMsP50: gap.p50, gapMsMax: gap.max, startMsP50: start.p50, startMsMax: start.max }
    console.log(JSON.stringify({ bench: `kill -9, embedded, ${durability}`, kills, ...told, ...times }))
    if (told.found !== told.acknowledged || told.duplicates > 0) process.exitCode = 1
  }
}

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: "string", default: "50" },
      only: { type: "string" },
      json: { type: "boolean", default: false }
    }
  })
  const kills = Number(values.kills)
  if (!Number.isInteger(kills) || kills < 1) throw new Error(`--kills ${values.kills}: a number from 1 on`)
  if (values.only !== "cluster") await embedded(kills)
}
