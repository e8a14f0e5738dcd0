/** What was done ahead of the workspace, on the disk of this host: it outlives the process that answered for it. */
import { Effect } from "effect"
import { numberOf, type Step } from "../../messages/workspace.ts"
import type { ScratchFailed, Tape } from "../ports/scratch.ts"

/** Small enough that a successor has read it in a moment. */
const segmentBytesMax = 1024 * 1024
/** Requests that nobody has answered yet are asked again of a successor: what they made stands in the last ones. */
const segmentsKept = 2

interface Line {
  /** Begins what one process wrote. */
  readonly session?: string
  /** The request that asked for it, and what was done. */
  readonly request?: number
  readonly made?: Step
  /** What was done up to this number is in the workspace. */
  readonly upTo?: number
}

/** What a process before this one had done. */
export interface Remembered {
  readonly session: string
  readonly request: number
  readonly step: Step
  /** The workspace is known to have it. */
  readonly isTold: boolean
}

interface Filled {
  readonly number: number
  size: number
  /** The last number in it. */
  last: number
}

export class Diary {
  private readonly tape: Tape
  private readonly session: string
  private readonly segments: Array<Filled> = []
  private next = 1

  constructor(tape: Tape, session: string) {
    this.tape = tape
    this.session = session
  }

  /** How many bytes it took, or 0 where the disk took none. */
  private append(line: Line): number {
    let current = this.segments.at(-1)
    if (current === undefined || current.size === 0 || current.size > segmentBytesMax) {
      current = { number: this.next++, size: 0, last: 0 }
      this.segments.push(current)
      if (this.put(current, { session: this.session }) === 0) return 0
    }
    return this.put(current, line)
  }

  private put(into: Filled, line: Line): number {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    const at = this.tape.append(into.number, [bytes])
    // What failed may have left half a line: nothing comes behind it.
    into.size = typeof at === "number" ? at + bytes.length : 0
    return typeof at === "number" ? bytes.length : 0
  }

  /** How many bytes it took; 0 when the disk does not take it, and then it is not to be done ahead. */
  write(request: number, step: Step): number {
    const size = this.append({ request, made: step })
    if (size > 0) (this.segments.at(-1) as Filled).last = numberOf(step)
    return size
  }

  /** The workspace has what was done up to this number, and nothing behind it was done before. */
  told(upTo: number): void {
    this.append({ upTo })
    while (this.segments.length > segmentsKept && (this.segments[0] as Filled).last <= upTo)
      this.tape.drop((this.segments.shift() as Filled).number)
  }

  /** What is there of processes before this one, in its order. A line that is not whole was never answered for. */
  readonly recover: Effect.Effect<ReadonlyArray<Remembered>, ScratchFailed> = Effect.suspend(() => this.read())

  private readonly read = Effect.fnUntraced(function* (this: Diary) {
    const found: Array<{ -readonly [K in keyof Remembered]: Remembered[K] }> = []
    let session = ""
    // What is told is told in its order.
    let next = 0
    for (const { number, size } of yield* this.tape.segments) {
      this.next = Math.max(this.next, number + 1)
      const lines = Buffer.from(yield* this.tape.read(number, 0, size))
        .toString()
        .split("\n")
        .slice(0, -1)
      const filled: Filled = { number, size: 0, last: 0 }
      this.segments.push(filled)
      for (const text of lines) {
        const { session: begun, request = 0, made, upTo = 0 } = lineOf(text)
        if (begun !== undefined && begun !== session) {
          session = begun
          next = found.length
        }
        for (let one = found[next]; one !== undefined && numberOf(one.step) <= upTo; one = found[++next])
          one.isTold = true
        if (made === undefined) continue
        found.push({ session, request, step: made, isTold: false })
        filled.last = numberOf(made)
      }
    }
    return found
  })
}

/** A disk that lost power may have anything in its place: it says nothing then. */
const lineOf = (text: string): Line => {
  try {
    return JSON.parse(text) as Line
  } catch {
    return {}
  }
}
