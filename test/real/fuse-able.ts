/** Whether there can be mounts on this machine. */
import { accessSync, constants } from "node:fs"

/** Why there can be none, or undefined. */
export const unable = (): string | undefined => {
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK)
    return process.geteuid?.() === 0 ? undefined : "mounting in these tests needs root"
  } catch {
    return "there is no /dev/fuse that may be opened"
  }
}

/** Whether the mounts of a test must be left out; it is said, once, which and why. */
export const leftOut = (what: string): boolean => {
  const why = unable()
  if (why !== undefined) console.log(`skipped: ${what}, for ${why}`)
  return why !== undefined
}
