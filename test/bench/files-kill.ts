/** Kills of the process that serves a mount, under load: `npm run bench -- files-kill [--kills N] [--json]`. */
import { parseArgs } from "node:util"
import { killed } from "../real/files-kills.ts"
import { noMounts } from "../real/mounts.ts"

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const why = noMounts()
  if (why !== undefined) throw new Error(why)
  const { values } = parseArgs({
    args: [...args],
    options: { kills: { type: "string", default: "50" }, json: { type: "boolean", default: false } }
  })
  const kills = Number(values.kills)
  if (!(kills >= 1)) throw new Error("--kills takes a number from 1 on")
  const told = await killed({ kills, pauseMs: 1_500, applications: 2 })
  const { errors, fsynced, longestPauseMs, operations, restartMsMax, restartMsP50, wrong } = told
  const first = (all: ReadonlyArray<string>) => (all.length > 0 ? `, ${all[0]}` : "")
  const { bytes, files, lines: appended } = fsynced
  const lines = [
    `${kills} kills in ${operations} calls of applications: ${errors.length} errors${first(errors)}`,
    `the longest call took ${longestPauseMs} ms; the next one answered in ${restartMsP50}, at most ${restartMsMax} ms`,
    `another host, with an empty cache, read ${bytes} bytes of pages, ${appended} lines and ${files} files`,
    `of these ${wrong.length} were wrong${first(wrong)}`
  ]
  process.stdout.write(`${values.json ? JSON.stringify(told) : lines.join("\n")}\n`)
  if (errors.length > 0 || wrong.length > 0) process.exitCode = 1
}
