/** What the kernel does not say with a request: whether its caller is about to die. */
import { readFileSync } from "node:fs"

const bit = (signal: number): bigint => 1n << BigInt(signal - 1)
const sigKill = bit(9)
/** SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG and SIGWINCH end nobody; every other signal does. */
const harmless = [17, 18, 19, 20, 21, 22, 23, 28].reduce((mask, signal) => mask | bit(signal), 0n)

/** Whether a signal waits that will end the process, by the masks of /proc: it is not blocked, ignored or caught. */
export const isFatal = (status: string): boolean => {
  const mask = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0"}`)
  const pending = mask("SigPnd") | mask("ShdPnd")
  const survived = mask("SigBlk") | mask("SigIgn") | mask("SigCgt") | harmless
  return (pending & (~survived | sigKill)) !== 0n
}

/** A caller that is not to be seen from here, as in another name space of processes, is not known to be dying. */
export const isDying = (thread: number): boolean => {
  if (thread === 0) return false
  try {
    return isFatal(readFileSync(`/proc/${thread}/status`, "latin1"))
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ESRCH") return true
    throw error
  }
}
