/** Small files that are whole or absent: written beside their place, flushed, and moved into it. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs"
import { dirname } from "node:path"

/** Secrets and state alike: nobody else on this host has any business with them. */
const fileMode = 0o600
const directoryMode = 0o700

const flushDirectory = (path: string): void => {
  const opened = openSync(path, "r")
  try {
    fsyncSync(opened)
  } finally {
    closeSync(opened)
  }
}

export const writeWhole = (path: string, text: string): void => {
  const aside = `${path}.new`
  rmSync(aside, { force: true })
  const opened = openSync(aside, "wx", fileMode)
  try {
    writeSync(opened, text)
    fsyncSync(opened)
  } finally {
    closeSync(opened)
  }
  renameSync(aside, path)
  flushDirectory(dirname(path))
}

/** The text of a file, or undefined when there is none. */
export const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined
    throw cause
  }
}

/** Makes the directory, and those above it, for its owner alone; one that is there stays as it is. */
export const makeDirectory = (path: string): void => {
  mkdirSync(path, { recursive: true, mode: directoryMode })
}
