/** Lets the process that serves a mount run before others: programs wait for it, whatever else keeps the host busy. */
import { readFileSync, writeFileSync } from "node:fs"
import { setPriority } from "node:os"

/** As the kernel counts niceness: next to the highest, as other file systems have it. */
const priority = -19

const sessionOf = (stat: string): number => Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3])

/**
 * Threads and processes that are started from now on inherit it. `leader` leads the session that was begun for the
 * mount, if one was. Only root may: for others nothing changes.
 */
export const goAhead = (leader: number): void => {
  try {
    setPriority(priority)
    // Between sessions Linux shares processors evenly, whatever their processes are. One that was begun for this mount
    // goes before the others too; one that somebody works in is left as it is.
    if (sessionOf(readFileSync("/proc/self/stat", "latin1")) === leader)
      writeFileSync("/proc/self/autogroup", String(priority))
  } catch {
    // It is served all the same.
  }
}
