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
  const lines = [
    `${kills} kills in ${operations} calls of applications: ${errors.length} errors${errors.length > 0 ? `, ${errors[0]}` : ""}`,
    `the longest call took ${longestPauseMs} ms; the next process was there after ${restartMsP50} ms (${restartMsMax} at most)`,
    `another host, its cache empty, read ${fsynced.bytes} bytes in pages, ${fsynced.lines} appended lines and ` +
      `${fsynced.files} files: ${wrong.length} wrong${wrong.length > 0 ? `, ${wrong[0]}` : ""}`
  ]
  process.stdout.write(`${values.json ? JSON.stringify(told) : lines.join("\n")}\n`)
  if (errors.length > 0 || wrong.length > 0) process.exitCode = 1
}
