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
