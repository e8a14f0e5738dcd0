/** The appends of one claim on their way into the stream: in order, several at once, each settled exactly once. */
import { createInbox, headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/nats-core"
import { Deferred, Effect, Exit } from "effect"
import type { Entry, Position } from "../../messages/entry.ts"
import { logSubject } from "../../messages/subjects.ts"
import { countOf, framesOf, moved, positionOf, readFrame } from "../../runtime/journal/frame.ts"
import { Fenced, Unavailable } from "../../runtime/ports/journal.ts"
import { accepted, askMs, doubtMs, parse, pause, whyOf } from "./api.ts"
import { messageAt, streamOf } from "./stream.ts"

/**
 * Without any acknowledgement for so long, the log is asked what became of the appends: for many times as long as they
 * took lately, within these bounds. Each time that it knows nothing of them doubles this, for servers that are only
 * slow are not helped by being sent everything again.
 */
const silenceLatencies = 50
const silenceMsMin = 200
const silenceMs = 1_000
const silenceMsMax = 4_000

/** How much the newest acknowledgement counts in what is expected of the next. */
const newestShare = 0.1

/** A leader that just went never answers: the first questions are soon asked again, the later ones have time. */
const firstLookMs = 250

/** Between two looks at a log that cannot answer. */
const retryMs = 50

/** One call of `append`; its frames are acknowledged together. */
interface Append {
  readonly answer: Deferred.Deferred<ReadonlyArray<Position>, Fenced | Unavailable>
  readonly positions: Array<Position>
  missing: number
}
interface Slot {
  readonly append: Append
  frame: Buffer
  sequence: number
  stored: boolean
  sentMs: number
}

export interface LineOptions {
  readonly connection: NatsConnection
  readonly shard: number
  /** The claim's sequence, which is its epoch. */
  readonly epoch: number
  readonly log: string
  /** Frames under way at once. */
  readonly window: number
}

export class Line {
  readonly #options: LineOptions
  readonly #inbox: string
  readonly #replies: Subscription
  readonly #subject: string
  /** Everything not acknowledged yet, in order; the first `#sent` of them are under way. */
  #slots: Array<Slot> = []
  #sent = 0
  /** The last sequence that is known to belong to this claim, and the last one that is spoken for. */
  #last: number
  #tail: number
  /** Of the next frame to be made, and how many are settled. */
  #ordinal = 1
  #settled = 0
  #waiting = new Map<string, Slot>()
  #tokens = 0
  #heardMs = 0
  /** How often in a row the log was asked and knew nothing. */
  #doublings = 0
  /** What an acknowledgement takes here: as long as none is known, it is not counted on being quick. */
  #latencyMs = silenceMs / silenceLatencies
  /** Since when nothing has been settled although the log was asked. */
  #doubtMs: number | undefined
  #watch: NodeJS.Timeout | undefined
  #inDoubt = false
  #retired: number | undefined
  #failure: Fenced | Unavailable | undefined

  constructor(options: LineOptions) {
    this.#options = options
    this.#last = options.epoch
    this.#tail = options.epoch
    this.#subject = logSubject(options.shard)
    this.#inbox = createInbox()
    this.#replies = options.connection.subscribe(`${this.#inbox}.*`, {
      callback: (_error, reply) => this.#heard(reply)
    })
  }

  append(entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Position>, Fenced | Unavailable> {
    if (this.#failure !== undefined) return Effect.fail(this.#failure)
    const frames = framesOf(entries, { epoch: this.#options.epoch, ordinal: this.#ordinal, sequence: this.#tail + 1 })
    if (frames.length === 0) return Effect.succeed([])
    const append: Append = { answer: Deferred.makeUnsafe(), missing: frames.length, positions: [] }
    for (const frame of frames) {
      this.#tail += 1
      this.#ordinal += 1
      this.#slots.push({ append, frame, sequence: this.#tail, stored: false, sentMs: 0 })
    }
    this.#send()
    return Deferred.await(append.answer)
  }

  /** Fails what is under way and all that comes later. */
  fail(failure: Fenced | Unavailable): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    clearInterval(this.#watch)
    if (!this.#options.connection.isClosed()) this.#replies.unsubscribe()
    for (const { append } of this.#slots) {
      // An append of several frames may be half written, and being fenced would say that nothing of it is.
      const isHalf = append.positions.length > 0 && failure._tag === "Fenced"
      const own = isHalf ? this.#unavailable("another owner came between the frames of an append") : failure
      Deferred.doneUnsafe(append.answer, Exit.fail(own))
    }
    this.#slots = []
  }

  /** A later claim of this node: what is under way finds out by itself, and after it there is nothing more to do. */
  retire(epoch: number): void {
    this.#retired = epoch
    this.#rest()
  }

  #rest(): void {
    if (this.#retired === undefined || this.#slots.length > 0) return
    this.fail(new Fenced({ epoch: this.#retired, log: this.#options.log }))
  }

  #unavailable(why: string): Unavailable {
    return new Unavailable({ log: this.#options.log, why })
  }

  #send(): void {
    if (this.#inDoubt || this.#failure !== undefined) return
    if (this.#sent === 0) this.#heardMs = performance.now()
    while (this.#sent < this.#slots.length && this.#sent < this.#options.window) {
      this.#publish(this.#slots[this.#sent] as Slot)
      this.#sent += 1
    }
    if (this.#sent > 0 && this.#watch === undefined) this.#watch = setInterval(() => this.#look(), silenceMsMin / 4)
  }

  #publish(slot: Slot): void {
    const token = String(++this.#tokens)
    slot.sentMs = performance.now()
    this.#waiting.set(token, slot)
    const fence = headers()
    fence.set("Nats-Expected-Stream", streamOf(this.#options.shard))
    fence.set("Nats-Expected-Last-Sequence", String(slot.sequence - 1))
    try {
      this.#options.connection.publish(this.#subject, slot.frame, { headers: fence, reply: `${this.#inbox}.${token}` })
    } catch (error) {
      // A closed or draining connection: nothing more can become of this claim.
      this.fail(this.#unavailable(whyOf(error)))
    }
  }

  #look(): void {
    if (this.#sent === 0) {
      clearInterval(this.#watch)
      this.#watch = undefined
      return
    }
    const usual = Math.min(Math.max(silenceLatencies * this.#latencyMs, silenceMsMin), silenceMs)
    const silence = Math.min(usual * 2 ** this.#doublings, silenceMsMax)
    if (this.#inDoubt || performance.now() - this.#heardMs <= silence) return
    this.#doublings += 1
    this.#doubt(`no acknowledgement for ${Math.round(silence)} ms`)
  }

  /** The connection is another one: what was on its way over the old one may have been lost with it. */
  reconnected(): void {
    if (this.#sent > 0) this.#doubt("the connection to the servers was lost")
  }

  #heard(reply: Msg): void {
    const slot = this.#waiting.get(reply.subject.slice(this.#inbox.length + 1))
    // Answers from before a doubt say nothing any more: the log itself was asked.
    if (slot === undefined) return
    try {
      if (reply.headers?.code === 503) throw new Error("no server answers for the stream")
      const { seq } = accepted<{ readonly seq: number }>(parse(reply.data))
      if (seq !== slot.sequence) throw new Error(`stored at ${seq} and not at ${slot.sequence}`)
    } catch (error) {
      this.#doubt(whyOf(error))
      return
    }
    this.#waiting.delete(reply.subject.slice(this.#inbox.length + 1))
    slot.stored = true
    this.#heardMs = performance.now()
    this.#latencyMs += (this.#heardMs - slot.sentMs - this.#latencyMs) * newestShare
    while (this.#slots[0]?.stored === true) this.#settle()
    this.#send()
  }

  /** The first slot is in the log, at its sequence. */
  #settle(): void {
    const slot = this.#slots.shift() as Slot
    if (this.#sent > 0) this.#sent -= 1
    this.#last = slot.sequence
    this.#settled += 1
    this.#doublings = 0
    this.#doubtMs = undefined
    const { append, frame, sequence } = slot
    const count = countOf(frame)
    for (let index = 0; index < count; index++) append.positions.push(positionOf(sequence, index))
    append.missing -= 1
    if (append.missing === 0) Deferred.doneUnsafe(append.answer, Exit.succeed(append.positions))
    this.#rest()
  }

  /** Something was refused, or nothing is known: from here on the log says what happened. */
  #doubt(why: string): void {
    if (this.#inDoubt || this.#failure !== undefined) return
    this.#inDoubt = true
    this.#waiting.clear()
    this.#sent = 0
    this.#resolve(why).catch((error: unknown) => this.fail(this.#unavailable(whyOf(error))))
  }

  /** Reads on behind the last known frame until the end of the log is found, and sends from there what is not in it. */
  async #resolve(why: string): Promise<void> {
    let scan = this.#last + 1
    let reason = why
    let lookMs = firstLookMs
    while (this.#failure === undefined) {
      this.#doubtMs ??= performance.now()
      if (performance.now() - this.#doubtMs > doubtMs) {
        this.fail(this.#unavailable(`whether appends were written could not be found out in ${doubtMs} ms: ${reason}`))
        return
      }
      try {
        const stored = await messageAt(this.#options.connection, this.#options.shard, scan, lookMs)
        if (stored === undefined) break
        this.#lookAt(stored, scan)
        scan += 1
      } catch (error) {
        reason = whyOf(error)
        lookMs = Math.min(lookMs * 2, askMs)
        await pause(retryMs)
      }
    }
    if (this.#failure !== undefined) return
    // The refusals of an election come at once: the next attempt waits a little, or it would do nothing but ask.
    await pause(retryMs)
    this.#aim(scan)
    this.#inDoubt = false
    this.#send()
  }

  /** Settles the first slot if this is it; ends the claim if it is another claim; anything else is not of the log. */
  #lookAt(stored: Buffer, sequence: number): void {
    const frame = readFrame(stored, sequence)
    if ("broken" in frame) throw new Error(`at ${sequence}: ${frame.broken}`)
    if (frame.owner !== undefined) {
      this.fail(new Fenced({ epoch: frame.epoch, log: this.#options.log }))
      return
    }
    const slot = this.#slots[0]
    if (slot === undefined || frame.epoch !== this.#options.epoch || frame.ordinal !== this.#settled + 1) return
    slot.frame = stored
    slot.sequence = sequence
    this.#settle()
  }

  /** Gives every slot its new place; where it changed, the frame says so. */
  #aim(sequence: number): void {
    let next = sequence
    for (const slot of this.#slots) {
      slot.frame = moved(slot.frame, next)
      slot.sequence = next
      slot.stored = false
      next += 1
    }
    this.#tail = next - 1
  }
}
