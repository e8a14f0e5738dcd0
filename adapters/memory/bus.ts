/** The bus within one process: what is sent is heard in the order of sending, by a fibre of its own. */
import { Cause, Effect, Layer, Queue } from "effect"
import { Bus, type Headers, type Message, NoResponders, type Send, TimedOut } from "../../runtime/ports/bus.ts"
import { Interest, nextOf } from "../nats/broker/interest.ts"
import { isPattern, isSubject } from "../nats/broker/subjects.ts"

interface Listener {
  readonly pattern: string
  readonly heard: (message: Message) => void
  /** False as soon as its scope is closed, even for what is under way. */
  listening: boolean
}

const none: Headers = Object.freeze({})
const encoder = new TextEncoder()
const bytesOf = (body: Uint8Array | string): Uint8Array => (typeof body === "string" ? encoder.encode(body) : body)
const unanswered = (): void => {}

const mustBeSubject = (subject: string): void => {
  if (!isSubject(subject)) throw new Error(`not a subject that can be published to: ${JSON.stringify(subject)}`)
}

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
    const tell = (listener: Listener) =>
      Queue.offerUnsafe(underWay, () => {
        if (listener.listening) listener.heard(message)
      })
    for (const listener of match.each) tell(listener)
    for (const group of match.groups) tell(nextOf(group))
    return match.each.length > 0 || match.groups.length > 0
  }

  const request = Effect.fnUntraced(function* (subject: string, { body, headers = none, timeoutMs }: Send) {
    mustBeSubject(subject)
    const answer = Effect.callback<Message, NoResponders>((resume) => {
      let waiting = true
      const respond = (reply: Uint8Array | string, replyHeaders: Headers = none) => {
        if (!waiting) return
        waiting = false
        const message: Message = { subject, body: bytesOf(reply), headers: replyHeaders, respond: unanswered }
        Queue.offerUnsafe(underWay, () => resume(Effect.succeed(message)))
      }
      if (!send(subject, bytesOf(body), headers, respond)) resume(Effect.fail(new NoResponders({ subject })))
      return Effect.sync(() => {
        waiting = false
      })
    })
    return yield* Effect.timeoutOrElse(answer, {
      duration: timeoutMs,
      orElse: () => Effect.fail(new TimedOut({ subject }))
    })
  })

  return Bus.of({
    subscribe: (pattern, heard, options) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          if (!isPattern(pattern)) throw new Error(`not a subject to listen to: ${JSON.stringify(pattern)}`)
          const listener: Listener = { pattern, heard, listening: true }
          interest.add(pattern, options?.queue, listener)
          return listener
        }),
        (listener) =>
          Effect.sync(() => {
            listener.listening = false
            interest.remove(pattern, options?.queue, listener)
          })
      ).pipe(Effect.asVoid),
    publish: (subject, body, headers = none) => {
      mustBeSubject(subject)
      send(subject, bytesOf(body), headers, unanswered)
    },
    request
  })
})

export const layer: Layer.Layer<Bus> = Layer.effect(Bus, make)
