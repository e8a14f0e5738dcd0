/** The bus within one process: what is sent is heard in the order of sending, by a fibre of its own. */
import { Cause, Clock, Effect, Layer, Queue } from "effect"
import { messageBytesMax } from "../../messages/limits.ts"
import { Bus, BusDown, type Headers, type Message, NoResponders, type Send, TimedOut } from "../../runtime/ports/bus.ts"
import { Interest, nextOf } from "../nats/broker/interest.ts"
import { isPattern, isSubject } from "../nats/broker/subjects.ts"

interface Listener {
  readonly pattern: string
  readonly heard: (message: Message) => void
}

const none: Headers = Object.freeze({})
const encoder = new TextEncoder()
const bytesOf = (body: Uint8Array | string): Uint8Array => (typeof body === "string" ? encoder.encode(body) : body)
const unanswered = (): void => {}

/** The bound is a NATS server's, so that what passes here passes there. */
const excess = (subject: string, { length }: Uint8Array): string | undefined =>
  length > messageBytesMax
    ? `the message for ${subject} has ${length} bytes, and ${messageBytesMax} may be sent`
    : undefined

const mustFit = (subject: string, body: Uint8Array): void => {
  const why = excess(subject, body)
  if (why !== undefined) throw new Error(why)
}

const mustBeSubject = (subject: string): void => {
  if (!isSubject(subject)) throw new Error(`not a subject that can be published to: ${JSON.stringify(subject)}`)
}

/** Requests that were given the same time, in the order of their asking: the first of them is the first to end. */
type Line = Map<object, { readonly until: number; readonly expire: () => void }>

/** Ends what is due in this line, until nothing waits in it: one fibre for all requests, and not one for each. */
const watchLine = Effect.fnUntraced(function* (line: Line, forget: () => void) {
  for (;;) {
    const [first] = line.values()
    // Forgotten in the same step in which it was found empty, so that nobody joins a line that is not watched.
    if (first === undefined) return forget()
    const now = yield* Clock.currentTimeMillis
    if (first.until > now) yield* Effect.sleep(first.until - now)
    else
      for (const [request, { until, expire }] of line) {
        if (until > now) break
        line.delete(request)
        expire()
      }
  }
})

/** A listener that throws is a defect of ours: it is reported, and it does not deafen the others. */
const deliver = (runs: ReadonlyArray<() => void>): Effect.Effect<void> => {
  const defects: Array<unknown> = []
  for (const run of runs) {
    try {
      run()
    } catch (defect) {
      defects.push(defect)
    }
  }
  return Effect.forEach(defects, (defect) => Effect.logError("a listener of the bus failed", Cause.die(defect)), {
    discard: true
  })
}

/** One bus; whoever shares it is connected to everybody else who does. */
export const make = Effect.gen(function* () {
  const interest = new Interest<Listener>()
  const underWay = yield* Queue.unbounded<() => void>()

  yield* Effect.forkScoped(
    Effect.forever(Effect.flatMap(Queue.takeAll(underWay), (runs) => Effect.suspend(() => deliver(runs))))
  )

  const send = (subject: string, body: Uint8Array, headers: Headers, respond: Message["respond"]): boolean => {
    const match = interest.match(subject)
    const message: Message = { subject, body, headers, respond }
    const tell = (listener: Listener) => Queue.offerUnsafe(underWay, () => listener.heard(message))
    for (const listener of match.each) tell(listener)
    for (const group of match.groups) tell(nextOf(group))
    return match.each.length > 0 || match.groups.length > 0
  }

  const lines = new Map<number, Line>()
  const unwatched = yield* Queue.unbounded<readonly [timeoutMs: number, line: Line]>()
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.flatMap(Queue.take(unwatched), ([timeoutMs, line]) =>
        Effect.forkChild(watchLine(line, () => void lines.delete(timeoutMs)))
      )
    )
  )
  /** The line of this time-out, joined by the request; a new line is watched from the next step on. */
  const join = (timeoutMs: number, request: object, waiting: { until: number; expire: () => void }): Line => {
    const known = lines.get(timeoutMs)
    const line: Line = known ?? new Map()
    line.set(request, waiting)
    if (known === undefined) {
      lines.set(timeoutMs, line)
      Queue.offerUnsafe(unwatched, [timeoutMs, line])
    }
    return line
  }

  const ask = (subject: string, body: Uint8Array, headers: Headers, timeoutMs: number, until: number) =>
    Effect.callback<Message, NoResponders | TimedOut>((resume) => {
      const request = {}
      const expire = () => resume(Effect.fail(new TimedOut({ subject })))
      const line = join(timeoutMs, request, { until, expire })
      const respond = (reply: Uint8Array | string, replyHeaders: Headers = none) => {
        const message: Message = { subject, body: bytesOf(reply), headers: replyHeaders, respond: unanswered }
        const isTooLarge = excess(subject, message.body) !== undefined
        // Such an answer is not sent: it is reported where the answers are handed out, and the asker waits in vain.
        if (isTooLarge) Queue.offerUnsafe(underWay, () => mustFit(subject, message.body))
        else if (line.delete(request)) Queue.offerUnsafe(underWay, () => resume(Effect.succeed(message)))
      }
      if (!send(subject, body, headers, respond)) {
        line.delete(request)
        resume(Effect.fail(new NoResponders({ subject })))
      }
      return Effect.sync(() => line.delete(request))
    })

  const request = Effect.fnUntraced(function* (subject: string, { body, headers = none, timeoutMs }: Send) {
    mustBeSubject(subject)
    const bytes = bytesOf(body)
    const tooLarge = excess(subject, bytes)
    if (tooLarge !== undefined) return yield* new BusDown({ why: tooLarge })
    const now = yield* Clock.currentTimeMillis
    return yield* ask(subject, bytes, headers, timeoutMs, now + timeoutMs)
  })

  return Bus.of({
    subscribe: (pattern, heard, options) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          if (!isPattern(pattern)) throw new Error(`not a subject to listen to: ${JSON.stringify(pattern)}`)
          const listener: Listener = { pattern, heard }
          interest.add(pattern, options?.queue, listener)
          return listener
        }),
        // What is under way to it is still heard: a request that is dropped is waited for in vain.
        (listener) => Effect.sync(() => interest.remove(pattern, options?.queue, listener))
      ).pipe(Effect.asVoid),
    publish: (subject, body, headers = none) => {
      mustBeSubject(subject)
      const bytes = bytesOf(body)
      mustFit(subject, bytes)
      send(subject, bytes, headers, unanswered)
    },
    request
  })
})

export const layer: Layer.Layer<Bus> = Layer.effect(Bus, make)
