/** Requests that wait for their answers: one inbox for all of them, a token for each, and one timer. */
import { Effect } from "effect"
import { type BusDown, type Message, type NoResponders, TimedOut } from "../../runtime/ports/bus.ts"

export type Answered = Effect.Effect<Message, NoResponders | TimedOut | BusDown>

interface Asked {
  readonly subject: string
  readonly resume: (answered: Answered) => void
  readonly until: number
}

/** A time-out is seen at most so much later than it was due: one timer looks after thousands of requests. */
const lookMs = 20

export class Waiting {
  readonly #asked = new Map<string, Asked>()
  #count = 0
  #timer: NodeJS.Timeout | undefined

  get size(): number {
    return this.#asked.size
  }

  /** The token of a new request: the last part of the subject that its answer comes to. */
  ask(subject: string, timeoutMs: number, resume: (answered: Answered) => void): string {
    const token = (this.#count++).toString(36)
    this.#asked.set(token, { subject, resume, until: performance.now() + timeoutMs })
    this.#timer ??= setInterval(() => this.#look(), lookMs)
    return token
  }

  subjectOf(token: string): string | undefined {
    return this.#asked.get(token)?.subject
  }

  /** Ends the request, once: whatever comes for it later is nobody's. */
  settle(token: string, answered: Answered): void {
    const asked = this.#asked.get(token)
    if (asked === undefined) return
    this.forget(token)
    asked.resume(answered)
  }

  forget(token: string): void {
    this.#asked.delete(token)
    if (this.#asked.size === 0) this.#rest()
  }

  /** Ends all of them: their answers can no longer come. */
  settleAll(answered: Answered): void {
    for (const token of [...this.#asked.keys()]) this.settle(token, answered)
  }

  /** Ends those that were sent to this subject. */
  settleSubject(subject: string, answered: Answered): void {
    for (const [token, asked] of [...this.#asked]) if (asked.subject === subject) this.settle(token, answered)
  }

  /** Forgets all of them without a word: whoever asked is gone as well. */
  close(): void {
    this.#asked.clear()
    this.#rest()
  }

  #look(): void {
    const now = performance.now()
    for (const [token, { subject, until }] of this.#asked)
      if (until <= now) this.settle(token, Effect.fail(new TimedOut({ subject })))
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/**
 * An answer goes to an inbox and nowhere else. Whoever asks chooses where the answer goes, and the node may publish
 * everywhere: without this, a request could make the node itself send to a subject that the asker may not.
 */
export const isAnswerable = (reply: string): boolean => reply.startsWith("_INBOX.") || reply.startsWith("_R_.")
