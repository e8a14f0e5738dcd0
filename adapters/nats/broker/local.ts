/** The node's own place at its broker: the `Bus` port without a socket, by the rules that hold for every client. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { type Bus, BusDown, type Headers, type Message, NoResponders } from "../../../runtime/ports/bus.ts"
import { decodeHeaders, encodeHeaders, noHeaders } from "../headers.ts"
import { isAnswerable, Waiting } from "../waiting.ts"
import type { Client, Packet, Router, Subscription } from "./router.ts"
import { isPattern, isSubject } from "./subjects.ts"

interface Listener extends Subscription {
  readonly heard: (message: Message) => void
}

const roundsPerTurn = 16
const empty = Buffer.alloc(0)

export class Local implements Client {
  readonly echo = true
  isOpen = true
  readonly bus: Bus["Service"]
  readonly #router: Router
  readonly #payloadBytesMax: number
  readonly #failed: (defect: unknown) => void
  readonly #waiting = new Waiting()
  readonly #inbox = `_INBOX.${randomBytes(12).toString("hex")}.`
  #underWay: Array<() => void> = []
  #isScheduled = false
  #rounds = 0

  /** `failed` is told of a listener that threw. */
  constructor(router: Router, payloadBytesMax: number, failed: (defect: unknown) => void) {
    this.#router = router
    this.#payloadBytesMax = payloadBytesMax
    this.#failed = failed
    this.bus = { subscribe: this.#subscribe, publish: this.#publish, request: this.#request }
    router.add(
      this.#listener(`${this.#inbox}*`, undefined, (message) => {
        this.#waiting.settle(message.subject.slice(this.#inbox.length), Effect.succeed(message))
      })
    )
  }

  #listener(subject: string, queue: string | undefined, heard: (message: Message) => void): Listener {
    return { client: this, sid: "", subject, queue, filtered: false, max: 0, delivered: 0, heard }
  }

  /** What comes from a socket is heard at once; what comes from this process, a moment later, never within the call. */
  deliver(subscription: Subscription, packet: Packet, from: Client): boolean {
    const listener = subscription as Listener
    const message = new Heard(this, packet)
    if (from !== this) this.#hear(listener, message)
    else {
      this.#underWay.push(() => this.#hear(listener, message))
      this.#schedule()
    }
    return true
  }

  #hear(listener: Listener, message: Message): void {
    try {
      listener.heard(message)
    } catch (defect) {
      this.#failed(defect)
    }
  }

  /** As soon as the caller is done; now and then a turn later, so that this talk leaves room for the sockets. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    if (++this.#rounds % roundsPerTurn === 0) setImmediate(this.#drain)
    else queueMicrotask(this.#drain)
  }

  readonly #drain = (): void => {
    this.#isScheduled = false
    const runs = this.#underWay
    this.#underWay = []
    for (const run of runs) run()
  }

  /** Gives the number of those who got it. */
  #send(packet: Packet): number {
    if (!isSubject(packet.subject))
      throw new Error(`not a subject that can be published to: ${JSON.stringify(packet.subject)}`)
    if (packet.end > this.#payloadBytesMax) throw new Error(tooLarge(packet, this.#payloadBytesMax))
    return this.#router.route(this, packet)
  }

  /** An answer that cannot be sent is a defect of whoever made it, and no reason to end whoever gives it. */
  answer(reply: string, body: Uint8Array | string, headers: Headers | undefined): void {
    if (!this.isOpen) return
    try {
      this.#send(packetOf(reply, "", body, headers))
    } catch (defect) {
      this.#failed(defect)
    }
  }

  readonly #subscribe: Bus["Service"]["subscribe"] = (subject, heard, options) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        if (!isPattern(subject)) throw new Error(`not a subject to listen to: ${JSON.stringify(subject)}`)
        const listener = this.#listener(subject, options?.queue, heard)
        this.#router.add(listener)
        return listener
      }),
      // What is under way to it is still heard: a request that is dropped is waited for in vain.
      (listener) => Effect.sync(() => this.#router.remove(listener))
    ).pipe(Effect.asVoid)

  readonly #publish: Bus["Service"]["publish"] = (subject, body, headers) => {
    if (!this.isOpen) return
    // Most of what is committed is heard by nobody. A character takes three bytes at most, so it is not too large.
    const isPlain = typeof body === "string" && headers === undefined && body.length * 3 <= this.#payloadBytesMax
    if (isPlain && isSubject(subject) && this.#router.isForNobody(subject, body.length)) return
    this.#send(packetOf(subject, "", body, headers))
  }

  readonly #request: Bus["Service"]["request"] = (subject, { body, headers, timeoutMs }) =>
    Effect.callback((resume) => {
      if (!this.isOpen) {
        resume(Effect.fail(new BusDown({ why: "the broker has stopped" })))
        return
      }
      const token = this.#waiting.ask(subject, timeoutMs, resume)
      const packet = packetOf(subject, this.#inbox + token, body, headers)
      if (packet.end > this.#payloadBytesMax) {
        const why = tooLarge(packet, this.#payloadBytesMax)
        this.#waiting.settle(token, Effect.fail(new BusDown({ why })))
      } else if (this.#send(packet) === 0) this.#waiting.settle(token, Effect.fail(new NoResponders({ subject })))
      return Effect.sync(() => this.#waiting.forget(token))
    })

  close(): void {
    this.isOpen = false
    this.#waiting.close()
  }
}

/** The packet is used again, so everything is taken out of it here; headers are read only when they are looked at. */
class Heard implements Message {
  readonly subject: string
  readonly body: Uint8Array
  readonly respond: Message["respond"]
  readonly #block: Buffer
  #headers: Headers | undefined

  constructor(local: Local, packet: Packet) {
    const { subject, reply, data, start, bodyAt, end } = packet
    this.subject = subject
    this.body = data.subarray(bodyAt, end)
    this.#block = bodyAt === start ? empty : data.subarray(start, bodyAt)
    this.respond = isAnswerable(reply) ? (body, headers) => local.answer(reply, body, headers) : unanswered
  }

  get headers(): Headers {
    this.#headers ??= this.#block.length === 0 ? noHeaders : decodeHeaders(this.#block)
    return this.#headers
  }
}

const tooLarge = ({ subject, end }: Packet, bytesMax: number): string =>
  `the message for ${subject} has ${end} bytes, and ${bytesMax} may be sent`

const unanswered = (): void => {}

const packetOf = (subject: string, reply: string, body: Uint8Array | string, headers: Headers | undefined): Packet => {
  if (headers === undefined || isEmpty(headers)) {
    // A copy: the caller may use its bytes again while they still wait for a slow reader.
    const data = Buffer.from(body as string)
    return { subject, reply, data, start: 0, bodyAt: 0, end: data.length }
  }
  const block = encodeHeaders(headers)
  const data = Buffer.concat([block, typeof body === "string" ? Buffer.from(body) : body])
  return { subject, reply, data, start: 0, bodyAt: block.length, end: data.length }
}

const isEmpty = (headers: Headers): boolean => {
  for (const _ in headers) return false
  return true
}
