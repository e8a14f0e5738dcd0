/** Commands for partitions of other nodes: what waits together travels as one message. */
import { Effect } from "effect"
import { type Answer, deadlineHeader, type Failure, isRetryable } from "../../messages/envelope.ts"
import { attemptMs, patienceMs } from "../../messages/limits.ts"
import { answersIn, manyText, type One } from "../actor/many.ts"
import type { Bus } from "../ports/bus.ts"
import { hand } from "./guard.ts"

export interface Forwarded extends One {
  readonly done: (answer: Answer<unknown, never>) => void
  /** Sends it by itself, patiently: the id is the same, so it is done once. */
  readonly alone: () => void
}

/** Larger ones gain nothing from company. */
export const forwardedTextMax = 16 * 1024
/** A character takes three bytes at most, and a message has a limit. */
const textMax = 256 * 1024
const countMax = 256
/** Fewer than these go at once, beside those that are under way; more wait for their answers, and go together. */
const manyWaiting = 8
const flightsMax = 2

class Line {
  waiting: Array<Forwarded> = []
  flights = 0
  underWay = 0

  get mayBegin(): boolean {
    return this.flights === 0 || (this.flights < flightsMax && this.underWay + this.waiting.length < manyWaiting)
  }

  take(): ReadonlyArray<Forwarded> {
    let count = 0
    let text = 0
    for (const { body } of this.waiting) {
      text += body.length
      if (count > 0 && (text > textMax || count === countMax)) break
      count += 1
    }
    return this.waiting.splice(0, count)
  }
}

export interface Around {
  readonly bus: Bus["Service"]
  readonly now: () => number
  readonly run: (work: Effect.Effect<void>) => void
}

/** Another answer may come when it is asked alone: an owner of an earlier release knows no company. */
const isPassing = (failure: Failure): boolean => isRetryable(failure) || failure._tag === "Malformed"

const decoder = new TextDecoder()

export class Forwarding {
  private readonly lines = new Map<string, Line>()
  private readonly around: Around

  constructor(around: Around) {
    this.around = around
  }

  send(subject: string, each: Forwarded): void {
    let line = this.lines.get(subject)
    if (line === undefined) {
      line = new Line()
      this.lines.set(subject, line)
    }
    line.waiting.push(each)
    if (!line.mayBegin) return
    line.flights += 1
    this.around.run(this.flight(subject, line))
  }

  private flight(subject: string, line: Line): Effect.Effect<void> {
    const self = this
    return Effect.gen(function* () {
      // Whatever this turn of the loop still brings goes with it.
      yield* Effect.yieldNow
      while (line.waiting.length > 0) {
        const sent = line.take()
        line.underWay += sent.length
        self.settle(sent, yield* self.asked(subject, sent))
        line.underWay -= sent.length
      }
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          line.flights -= 1
        })
      )
    )
  }

  private asked(subject: string, sent: ReadonlyArray<Forwarded>): Effect.Effect<string | undefined> {
    const headers = { [deadlineHeader]: String(this.around.now() + patienceMs) }
    return this.around.bus.request(subject, { body: manyText(sent), headers, timeoutMs: attemptMs }).pipe(
      Effect.map(({ body }) => decoder.decode(body)),
      Effect.catch(() => Effect.undefined)
    )
  }

  /** Whoever got no answer that is final asks again by itself. */
  private settle(sent: ReadonlyArray<Forwarded>, text: string | undefined): void {
    const answers = text === undefined ? undefined : answersIn(text, sent.length)
    for (const [index, { done, alone }] of sent.entries()) {
      const answer = answers === undefined ? undefined : (JSON.parse(answers[index] ?? "") as Answer<unknown, never>)
      if (answer === undefined || ("failed" in answer && isPassing(answer.failed))) alone()
      else hand(done, answer)
    }
  }
}
