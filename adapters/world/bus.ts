/** A bus that delays, loses, repeats and reorders, and from which a life can be cut off. */
import { Effect, type Scope } from "effect"
import { Bus, BusDown, type Headers, type Message, NoResponders, type Send, TimedOut } from "../../runtime/ports/bus.ts"
import { Interest, nextOf } from "../nats/broker/interest.ts"
import type { Life, Weather } from "./weather.ts"

interface Listener {
  readonly pattern: string
  readonly life: Life
  readonly heard: (message: Message) => void
  listening: boolean
}

const none: Headers = {}
const encoder = new TextEncoder()
const bytesOf = (body: Uint8Array | string): Uint8Array => (typeof body === "string" ? encoder.encode(body) : body)

/** The network that the buses of all lives are attached to. */
export class Network {
  private readonly interest = new Interest<Listener>()
  private readonly weather: Weather

  constructor(weather: Weather) {
    this.weather = weather
  }

  /** The bus as one life sees it. */
  attach(life: Life): Bus["Service"] {
    return Bus.of({
      subscribe: (pattern, heard, options) => this.subscribe(life, { pattern, heard, queue: options?.queue }),
      publish: (subject, body, headers = none) =>
        void this.send(life, { subject, body: bytesOf(body), headers, respond: () => {} }),
      request: (subject, send) => this.request(life, subject, send)
    })
  }

  private subscribe(
    life: Life,
    { pattern, heard, queue }: { pattern: string; heard: (message: Message) => void; queue: string | undefined }
  ): Effect.Effect<void, BusDown, Scope.Scope> {
    const { interest } = this
    return Effect.acquireRelease(
      Effect.sync(() => {
        const listener: Listener = { pattern, life, heard, listening: true }
        interest.add(pattern, queue, listener)
        return listener
      }),
      (listener) =>
        Effect.sync(() => {
          listener.listening = false
          interest.remove(pattern, queue, listener)
        })
    )
  }

  private isReachable(listener: Listener): boolean {
    return listener.listening && listener.life.alive && !this.weather.isCut(listener.life.name, "bus")
  }

  /** False when nobody can hear it, as a server would know at once. */
  private send(from: Life, message: Message): boolean {
    if (!from.alive || this.weather.isCut(from.name, "bus")) return true
    const match = this.interest.match(message.subject)
    const hearing = [...match.each, ...match.groups.map(nextOf)].filter((listener) => this.isReachable(listener))
    for (const listener of hearing) {
      this.carry(() => this.deliver(listener, message))
      if (this.weather.chance("bus", "duplicated")) this.carry(() => this.deliver(listener, message))
    }
    return hearing.length > 0
  }

  private deliver(listener: Listener, message: Message): void {
    if (this.isReachable(listener)) listener.heard(message)
  }

  /** Takes something to its destination after a while, or not at all. */
  private carry(arrive: () => void): void {
    if (this.weather.chance("bus", "lost")) return
    this.weather.run(Effect.flatMap(this.weather.delay("bus"), () => Effect.sync(arrive)))
  }

  private request(life: Life, subject: string, { body, headers = none, timeoutMs }: Send) {
    if (!life.alive) return Effect.never
    if (this.weather.isCut(life.name, "bus"))
      return Effect.delay(Effect.fail(new BusDown({ why: "cut off" })), Math.min(timeoutMs, 50))
    const answer = Effect.callback<Message, NoResponders>((resume) => {
      const respond = (reply: Uint8Array | string, replyHeaders: Headers = none) => {
        const message: Message = { subject, body: bytesOf(reply), headers: replyHeaders, respond: () => {} }
        this.carry(() => {
          if (life.alive && !this.weather.isCut(life.name, "bus")) resume(Effect.succeed(message))
        })
      }
      const isHeard = this.send(life, { subject, body: bytesOf(body), headers, respond })
      if (!isHeard) resume(Effect.fail(new NoResponders({ subject })))
    })
    return Effect.timeoutOrElse(answer, {
      duration: timeoutMs,
      orElse: () => Effect.fail(new TimedOut({ subject }))
    })
  }
}
