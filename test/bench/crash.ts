/** Kills of real processes under load: `npm run bench -- crash [--kills N] [--rounds N] [--only embedded|cluster]`. */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { harmed, harms } from "../real/cluster.ts"
import { crashed } from "../real/embedded.ts"
import { find } from "../real/servers.ts"

const spread = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  return { p50: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}

/** Half of the kills with each durability. */
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

/** Every harm so many times, in turns, in one cluster that lives through all of them. */
const clustered = async (rounds: number): Promise<void> => {
  if (find("nats") === undefined) {
    console.log(JSON.stringify({ bench: "cluster", skipped: "there is no nats-server; test/real/servers brings it" }))
    return
  }
  const list = Array.from({ length: rounds }, () => harms).flat()
  const say = (one: object) => console.log(JSON.stringify({ bench: "cluster, one harm", ...one }))
  const told = await Effect.runPromise(Effect.scoped(harmed(list, 2, say)))
  const { harmed: all, ...verdict } = told
  for (const harm of harms) {
    const own = all.filter((one) => one.harm === harm)
    const gap = spread(own.map(({ gapMs }) => gapMs))
    const back = spread(own.map(({ returnGapMs }) => returnGapMs))
    const times = { gapMsP50: gap.p50, gapMsMax: gap.max, returnGapMsMax: back.max }
    console.log(JSON.stringify({ bench: `cluster, ${harm}`, kills: own.length, ...times }))
  }
  console.log(JSON.stringify({ bench: "cluster, all", kills: all.length, ...verdict }))
  if (verdict.found !== verdict.acknowledged || verdict.duplicates > 0) process.exitCode = 1
}

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: "string", default: "50" },
      rounds: { type: "string", default: "2" },
      only: { type: "string" },
      json: { type: "boolean", default: false }
    }
  })
  const [kills = 0, rounds = 0] = [values.kills, values.rounds].map(Number)
  if (!(kills >= 1 && rounds >= 1)) throw new Error("--kills and --rounds take a number from 1 on")
  if (values.only !== "cluster") await embedded(Math.ceil(kills / 2))
  if (values.only !== "embedded") await clustered(rounds)
}
