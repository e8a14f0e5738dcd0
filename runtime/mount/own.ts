/** What `.stats`, `.config` and `.accesslog` say. */
import { Effect } from "effect"
import type { Errno } from "../ports/mount.ts"
import { virtualName } from "./virtual.ts"

/** Lines of `.accesslog` that wait for a slow reader; behind it they are dropped, and the log says so. */
const linesMax = 10_000
/** A reader of `.accesslog` that has heard nothing for so long gets an empty line's worth of nothing and asks again. */
const quietMs = 1_000

interface Span {
  readonly offset: number
  readonly length: number
}

export interface OwnTexts {
  readonly stats: () => string
  readonly config: () => string
  readonly listening: (isOn: boolean) => void
  /** Waits until the kernel knows all that has been folded: what `.stats` says is then so for every process. */
  readonly settled: Effect.Effect<void>
}

/** A kernel that does not take notice for so long is not waited for. */
const settledMs = 1_000

class Log {
  readonly lines: Array<string> = []
  dropped = 0
  wake: (() => void) | undefined

  add(line: string): void {
    if (this.lines.length < linesMax) this.lines.push(line)
    else this.dropped += 1
    this.wake?.()
  }
}

export class Own {
  private readonly texts: OwnTexts
  /** By handle: what a reader was shown at its first read stays as it is until it closes. */
  private readonly shown = new Map<number, Buffer>()
  private readonly logs = new Map<number, Log>()

  constructor(texts: OwnTexts) {
    this.texts = texts
  }

  get isListening(): boolean {
    return this.logs.size > 0
  }

  line(line: string): void {
    for (const log of this.logs.values()) log.add(`${line}\n`)
  }

  release(handle: number): void {
    this.shown.delete(handle)
    if (this.logs.delete(handle) && this.logs.size === 0) this.texts.listening(false)
  }

  read(ino: number, handle: number, span: Span): Effect.Effect<Uint8Array, Errno> {
    const { offset, length } = span
    const name = virtualName(ino)
    if (name === ".accesslog") return this.follow(handle, length)
    const text = this.shown.get(handle)
    if (text !== undefined && offset > 0) return Effect.succeed(text.subarray(offset, offset + length))
    const fresh = Buffer.from(name === ".stats" ? this.texts.stats() : this.texts.config())
    this.shown.set(handle, fresh)
    return Effect.as(Effect.timeoutOption(this.texts.settled, settledMs), fresh.subarray(0, length))
  }

  private follow(handle: number, length: number): Effect.Effect<Uint8Array, Errno> {
    let log = this.logs.get(handle)
    if (log === undefined) {
      log = new Log()
      this.logs.set(handle, log)
      this.texts.listening(true)
    }
    const from = log
    const some = Effect.callback<void>((resume) => {
      if (from.lines.length > 0) return resume(Effect.void)
      from.wake = () => resume(Effect.void)
      return Effect.sync(() => {
        from.wake = undefined
      })
    })
    return some.pipe(
      Effect.timeoutOption(quietMs),
      Effect.map(() => {
        from.wake = undefined
        return taken(from, length)
      })
    )
  }
}

/** Whole lines, as many as fit; an empty line where there is nothing, for nothing at all would be the end. */
const taken = (log: Log, length: number): Uint8Array => {
  let text = log.dropped > 0 ? `[${log.dropped} lines dropped]\n` : ""
  log.dropped = 0
  while (log.lines.length > 0 && text.length + (log.lines[0] as string).length <= length) text += log.lines.shift()
  return Buffer.from(text === "" ? "\n" : text).subarray(0, length)
}
