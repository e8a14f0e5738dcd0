/** The bus over a NATS server, by the official client: one inbox for all answers, and no promise for each. */
import {
  createInbox,
  headers as emptyHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
  type Subscription
} from "@nats-io/transport-node"
import { Cause, Effect, Layer, type Scope } from "effect"
import { Bus, BusDown, type Headers, type Message, NoResponders } from "../../runtime/ports/bus.ts"
import { isPattern, isSubject } from "./broker/subjects.ts"
import { type ConnectOptions, connection } from "./connection.ts"
import { noHeaders } from "./headers.ts"
import { isAnswerable, Waiting } from "./waiting.ts"

/** How long the server may take to confirm a subscription. */
const confirmMs = 10_000
/** What the server may take to confirm the end of one. */
const endMs = 500
const noRespondersStatus = 503

class NatsBus {
  readonly bus: Bus["Service"]
  readonly #connection: NatsConnection
  readonly #failed: (defect: unknown) => void
  readonly #waiting = new Waiting()
  readonly #inbox: string
  #isUp = true

  constructor(made: NatsConnection, inboxPrefix: string | undefined, failed: (defect: unknown) => void) {
    this.#connection = made
    this.#failed = failed
    this.#inbox = `${createInbox(inboxPrefix)}.`
    this.bus = { subscribe: this.#subscribe, publish: this.#publish, request: this.#request }
  }

  /** Opens the inbox, and keeps an eye on whether the server is there. */
  readonly open: Effect.Effect<void, BusDown, Scope.Scope> = Effect.suspend(() => {
    void this.#watch().catch(this.#failed)
    return this.#listen(`${this.#inbox}*`, undefined, (message) => this.#answer(message))
  })

  #answer(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length)
    if (message.data.length > 0 || message.headers?.code !== noRespondersStatus) {
      this.#waiting.settle(token, Effect.succeed(new Heard(message, this.#failed)))
      return
    }
    const subject = this.#waiting.subjectOf(token)
    if (subject !== undefined) this.#waiting.settle(token, Effect.fail(new NoResponders({ subject })))
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === "disconnect") this.#down(`the connection to ${status.server} is away`)
      else if (status.type === "reconnect") this.#isUp = true
      else if (status.type === "error" && status.error instanceof PermissionViolationError) {
        const { operation, subject } = status.error
        const why = `not permitted to publish to ${subject}`
        if (operation === "publish") this.#waiting.settleSubject(subject, Effect.fail(new BusDown({ why })))
      }
    }
    this.#down("the connection is closed")
  }

  /** Answers that were on their way are lost with the connection: whoever waits may ask again at once. */
  #down(why: string): void {
    this.#isUp = false
    this.#waiting.settleAll(Effect.fail(new BusDown({ why })))
  }

  /** Ends when the server has confirmed that it listens, or has said that it may not. */
  #listen(subject: string, queue: string | undefined, heard: (message: Msg) => void) {
    let refused: Error | undefined
    const subscribed = Effect.sync(() =>
      this.#connection.subscribe(subject, {
        ...(queue === undefined ? {} : { queue }),
        callback: (error, message) => {
          if (error !== null) refused = error
          else this.#hear(heard, message)
        }
      })
    )
    const confirmed = Effect.tryPromise({
      try: () => this.#connection.flush(),
      catch: (cause) => new BusDown({ why: String(cause) })
    }).pipe(
      Effect.timeoutOrElse({
        duration: confirmMs,
        orElse: () => Effect.fail(new BusDown({ why: `the server did not confirm the subscription to ${subject}` }))
      }),
      Effect.andThen(
        Effect.suspend(() =>
          refused === undefined
            ? Effect.void
            : Effect.fail(new BusDown({ why: `not permitted to listen to ${subject}: ${refused.message}` }))
        )
      )
    )
    return Effect.acquireRelease(subscribed, (subscription) => this.#endListening(subscription)).pipe(
      Effect.andThen(confirmed)
    )
  }

  /** What the server sent before it knew of the end is still heard: a request that is dropped is waited for in vain. */
  #endListening(subscription: Subscription): Effect.Effect<void> {
    return Effect.promise(async () => {
      if (subscription.isClosed() || this.#connection.isClosed()) return
      if (!this.#isUp || subscription.isDraining()) return subscription.unsubscribe()
      const late = new Promise<void>((resolve) => setTimeout(resolve, endMs).unref())
      await Promise.race([subscription.drain().catch(() => {}), late])
      if (!subscription.isClosed() && !this.#connection.isClosed()) subscription.unsubscribe()
    })
  }

  #hear(heard: (message: Msg) => void, message: Msg): void {
    try {
      heard(message)
    } catch (defect) {
      this.#failed(defect)
    }
  }

  readonly #subscribe: Bus["Service"]["subscribe"] = (subject, heard, options) =>
    Effect.suspend(() => {
      if (!isPattern(subject)) throw new Error(`not a subject to listen to: ${JSON.stringify(subject)}`)
      if (this.#connection.isClosed()) return Effect.fail(new BusDown({ why: "the connection is closed" }))
      return this.#listen(subject, options?.queue, (message) => heard(new Heard(message, this.#failed)))
    })

  readonly #publish: Bus["Service"]["publish"] = (subject, body, headers) => {
    mustBeSubject(subject)
    // While the server is away the client would gather messages without bound.
    if (!this.#isUp || this.#connection.isClosed()) return
    this.#connection.publish(subject, body, headers === undefined ? undefined : { headers: headersOf(headers) })
  }

  readonly #request: Bus["Service"]["request"] = (subject, { body, headers, timeoutMs }) =>
    Effect.callback((resume) => {
      mustBeSubject(subject)
      if (!this.#isUp || this.#connection.isClosed()) {
        resume(Effect.fail(new BusDown({ why: "the connection is away" })))
        return
      }
      const token = this.#waiting.ask(subject, timeoutMs, resume)
      const reply = this.#inbox + token
      try {
        const options = headers === undefined ? { reply } : { reply, headers: headersOf(headers) }
        this.#connection.publish(subject, body, options)
      } catch (cause) {
        this.#waiting.settle(token, Effect.fail(new BusDown({ why: `${subject} cannot be sent: ${String(cause)}` })))
      }
      return Effect.sync(() => this.#waiting.forget(token))
    })

  close(): void {
    this.#isUp = false
    this.#waiting.close()
  }
}

const mustBeSubject = (subject: string): void => {
  if (!isSubject(subject)) throw new Error(`not a subject that can be published to: ${JSON.stringify(subject)}`)
}

const headersOf = (headers: Headers): MsgHdrs => {
  const made = emptyHeaders()
  for (const name in headers) made.set(name, headers[name] as string)
  return made
}

/** A message as the client gave it; its headers are taken out only when they are looked at. */
class Heard implements Message {
  readonly subject: string
  readonly body: Uint8Array
  readonly respond: Message["respond"]
  readonly #given: MsgHdrs | undefined
  #headers: Headers | undefined

  constructor(message: Msg, failed: (defect: unknown) => void) {
    this.subject = message.subject
    this.body = message.data
    this.#given = message.headers
    this.respond = (body, headers) => {
      if (message.reply === undefined || !isAnswerable(message.reply)) return
      try {
        message.respond(body, headers === undefined ? undefined : { headers: headersOf(headers) })
      } catch (defect) {
        failed(defect)
      }
    }
  }

  get headers(): Headers {
    this.#headers ??= this.#given === undefined ? noHeaders : recordOf(this.#given)
    return this.#headers
  }
}

const recordOf = (given: MsgHdrs): Headers => {
  const headers: Record<string, string> = Object.create(null)
  for (const name of given.keys()) headers[name] = given.get(name)
  return headers
}

/** The bus over a connection that is there already, and that may serve others too. */
export const busOver = (
  made: NatsConnection,
  inboxPrefix?: string
): Effect.Effect<Bus["Service"], BusDown, Scope.Scope> =>
  Effect.gen(function* () {
    const run = Effect.runCallbackWith(yield* Effect.context())
    const failed = (defect: unknown) => void run(Effect.logError("a listener of the bus failed", Cause.die(defect)))
    const over = yield* Effect.acquireRelease(
      Effect.sync(() => new NatsBus(made, inboxPrefix, failed)),
      (opened) => Effect.sync(() => opened.close())
    )
    yield* over.open
    return over.bus
  })

export const layer = (options: ConnectOptions): Layer.Layer<Bus, BusDown> =>
  Layer.effect(
    Bus,
    Effect.flatMap(connection(options), (made) => busOver(made, options.inboxPrefix))
  )
