/**
 * A process that will serve a mount, started before anything is known but that there will be one: what takes longest
 * is to load it. Nothing else is loaded here, so that it is started at once.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { openSync } from "node:fs"

const devicePath = "/dev/fuse"
/** Where a child finds the device, and in which variable what was agreed with the kernel. */
export const deviceFd = 4
export const agreedVariable = "ARTIFACTS_FUSE"

/** The device, which is not mounted yet, and the process that has it too. */
export interface Early {
  readonly fd: number
  readonly process: ChildProcess
}

let waiting: Early | undefined

/** `module` is run with Node, and waits in `begun`. Where it cannot be done yet, it is done later, with the reason. */
export const startEarly = (module: string): void => {
  if (process.geteuid?.() !== 0) return
  try {
    const fd = openSync(devicePath, "r+")
    const child = spawn(process.execPath, [module], { stdio: ["ignore", "inherit", "inherit", "ipc", fd] })
    // Whoever takes it hears how it ended.
    child.once("error", () => undefined)
    // It keeps this process from ending only once it serves.
    child.unref()
    child.channel?.unref()
    waiting = { fd, process: child }
  } catch {
    // Whoever opens the device again says what is wrong.
  }
}

/** For whoever mounts, once. */
export const takeEarly = (): Early | undefined => {
  const early = waiting
  waiting = undefined
  early?.process.ref()
  early?.process.channel?.ref()
  return early
}

interface Begin {
  readonly args: ReadonlyArray<string>
  readonly agreed: string
}

/** Tells it what it is for. */
export const begin = ({ process: child }: Early, begin: Begin): void => {
  child.send({ begin }, () => undefined)
}

/** In the child: waits until it is known, and gives its arguments. Nobody needs it when its parent is gone. */
export const begun = (): Promise<ReadonlyArray<string>> =>
  new Promise((resolve) => {
    const end = () => process.exit(0)
    if (!process.connected) end()
    process.once("disconnect", end)
    const hear = (message: unknown): void => {
      const { begin } = message as { readonly begin?: Begin }
      if (begin === undefined) return
      process.off("disconnect", end)
      process.off("message", hear)
      process.env[agreedVariable] = begin.agreed
      resolve(begin.args)
    }
    process.on("message", hear)
  })
