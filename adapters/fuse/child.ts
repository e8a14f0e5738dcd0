/** A process that serves a mount whose device another one holds: how it is started, and how it takes its turn. */
import { type ChildProcess, spawn } from "node:child_process"
import { Deferred, Effect } from "effect"
import { agreedVariable, begin, deviceFd, type Early } from "./early.ts"
import type { Negotiated } from "./init.ts"
import type { Device } from "./serving.ts"

/** What holder and child say to each other: it is your turn, and I answer. */
const turn = "serve"
const answers = "answers"

export interface Death {
  readonly how: string
  /** Since its turn began. */
  readonly ageMs: number
}

interface Serving {
  readonly command: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

export class Child {
  readonly ended: Effect.Effect<Death>
  private readonly process: ChildProcess
  private readonly death = Deferred.makeUnsafe<Death>()
  private since = performance.now()

  constructor({ command, env }: Serving, { fd, negotiated }: Device, early?: Early) {
    this.ended = Deferred.await(this.death)
    const agreed = JSON.stringify(negotiated)
    this.process =
      early?.process ??
      spawn(process.execPath, command, {
        stdio: ["ignore", "inherit", "inherit", "ipc", fd],
        env: { ...process.env, ...env, [agreedVariable]: agreed }
      })
    if (early !== undefined) begin(early, { args: command.slice(1), agreed })
    const die = (how: string) =>
      Deferred.doneUnsafe(this.death, Effect.succeed({ how, ageMs: performance.now() - this.since }))
    this.process.once("error", (error) => die(error.message))
    this.process.once("exit", (code, signal) => die(signal ?? `status ${code}`))
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) die(signalCode ?? `status ${exitCode}`)
  }

  get pid(): number | undefined {
    return this.process.pid
  }

  /** Its turn: from now on it reads requests. Waits for its end. */
  serve(heard: ((message: unknown) => void) | undefined, answering: () => void): Effect.Effect<Death> {
    return Effect.suspend(() => {
      this.since = performance.now()
      this.process.on("message", (message) => (message === answers ? answering() : heard?.(message)))
      this.send(turn)
      return this.ended
    })
  }

  /** What a dead child does not hear any more is lost with it. */
  send(message: object | string): void {
    if (this.process.connected) this.process.send(message, () => undefined)
  }

  kill(): void {
    this.process.kill("SIGKILL")
  }
}

/** In the child: waits for its turn. Whoever is spare prepares everything before. */
const turnComes: Effect.Effect<void> = Effect.callback((resume) => {
  const hear = (message: unknown): void => {
    if (message !== turn) return
    process.off("message", hear)
    resume(Effect.void)
  }
  process.on("message", hear)
})

/** In the child: the device, which waits for this process's turn; or undefined when no holder started this process. */
export const inherited = (): Device | undefined => {
  const agreed = process.env[agreedVariable]
  if (agreed === undefined) return undefined
  return { fd: deviceFd, negotiated: JSON.parse(agreed) as Negotiated, turn: turnComes }
}

/** In the child: the mount answers, so that the holder may tell. */
export const iAnswer = Effect.sync(() => {
  process.send?.(answers)
})
