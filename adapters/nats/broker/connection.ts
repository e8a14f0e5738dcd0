/** One client on a socket: what it says is checked and routed, what it hears is written. */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { Effect } from "effect"
import { noRespondersBlock } from "../headers.ts"
import { Access, forbidden, invalid } from "./access.ts"
import { type Admitted, type Authority, admit, type ConnectFields, connectFields } from "./admission.ts"
import type { BrokerLimits } from "./limits.ts"
import { Outbox } from "./outbox.ts"
import { Parser, unknownOperation, type Words } from "./parser.ts"
import type { Client, Packet, Router, Subscription } from "./router.ts"
import { subjectForm } from "./subjects.ts"

/** What every connection of one broker shares. */
export interface House {
  readonly router: Router
  readonly limits: BrokerLimits
  readonly authority: Authority | undefined
  readonly now: () => number
  /** The INFO line for one client. */
  readonly info: (clientId: number, nonce: string) => string
  /** Runs an effect of the node's and gives what came of it; undefined when it failed. */
  readonly ask: (question: Effect.Effect<Admitted | undefined>, answered: (found: Admitted | undefined) => void) => void
  readonly left: (connection: Connection, why: string) => void
}

export const slowConsumer = "Slow Consumer"
/** The longest wait that a timer of the runtime can hold; a longer one is taken in steps of it. */
const timerMsMax = 2 ** 31 - 1

export class Connection implements Client, Words {
  readonly id: number
  echo = true
  isOpen = true
  user = ""
  name = ""
  readonly #house: House
  readonly #socket: Socket
  readonly #outbox: Outbox
  readonly #parser: Parser
  readonly #nonce = randomBytes(12).toString("base64url")
  readonly #subscriptions = new Map<string, Subscription>()
  #access: Access | undefined
  #isChecking = false
  #isVerbose = false
  #takesHeaders = false
  #wantsNoResponders = false
  #pingsOut = 0
  #heardSincePing = false
  #timer: NodeJS.Timeout | undefined

  constructor(house: House, socket: Socket, id: number) {
    this.#house = house
    this.#socket = socket
    this.id = id
    this.#parser = new Parser(this, house.limits)
    this.#outbox = new Outbox(socket, house.limits.pendingBytesMax, () => this.close(slowConsumer, true))
    socket.setNoDelay(true)
    socket.on("data", (chunk) => this.#heard(chunk))
    socket.on("error", () => this.#gone("the socket failed"))
    socket.on("end", () => this.#finish("the client left"))
    socket.on("close", () => this.#gone("the client left"))
    this.#timer = setTimeout(() => this.close("Authentication Timeout"), house.limits.authTimeoutMs)
    this.#outbox.text(house.info(id, this.#nonce))
  }

  get pendingBytes(): number {
    return this.#outbox.pendingBytes + this.#parser.heldBytes
  }

  #heard(chunk: Buffer): void {
    if (!this.isOpen) return
    this.#heardSincePing = true
    this.#refuse(this.#parser.feed(chunk))
  }

  #refuse(wrong: string | undefined): void {
    if (wrong !== undefined) this.close(wrong)
  }

  // What the client says.

  connect(json: string): void {
    const fields = connectFields(json)
    if (this.#access !== undefined || this.#isChecking || fields === undefined) {
      this.close(unknownOperation)
      return
    }
    const admission = admit(this.#house.authority, fields, this.#nonce, this.#house.now())
    if (!Effect.isEffect(admission)) {
      this.#enter(fields, admission)
      return
    }
    this.#isChecking = true
    this.#parser.halt()
    this.#socket.pause()
    this.#house.ask(admission, (found) => {
      if (!this.isOpen) return
      this.#isChecking = false
      this.#enter(fields, found)
      if (!this.isOpen) return
      this.#refuse(this.#parser.resume())
      this.#socket.resume()
    })
  }

  #enter(fields: ConnectFields, admitted: Admitted | undefined): void {
    clearTimeout(this.#timer)
    if (admitted === undefined) {
      this.close("Authorization Violation")
      return
    }
    this.user = admitted.user
    this.name = (fields.name ?? "").slice(0, 256)
    this.echo = fields.echo !== false
    // Who does not say otherwise gets every word acknowledged, as it is with a NATS server.
    this.#isVerbose = fields.verbose !== false
    this.#takesHeaders = fields.headers === true
    this.#wantsNoResponders = fields.headers === true && fields.no_responders === true
    this.#access = new Access(admitted.permissions, this.#house.now)
    if (admitted.expiresAt !== undefined) this.#expireAt(admitted.expiresAt)
    this.#acknowledge()
  }

  #expireAt(moment: number): void {
    const left = moment - this.#house.now()
    if (left <= 0) this.close("User Authentication Expired")
    else this.#timer = setTimeout(() => this.#expireAt(moment), Math.min(left, timerMsMax))
  }

  publish(packet: Packet, hasHeaders: boolean): void {
    const access = this.#entered()
    if (access === undefined) return
    if (hasHeaders && !this.#takesHeaders) {
      this.close("Message Headers Not Supported")
      return
    }
    const verdict = access.publish(packet.subject)
    if (verdict === forbidden) this.#complain(`Permissions Violation for Publish to "${packet.subject}"`)
    else if (verdict === invalid || (packet.reply !== "" && subjectForm(packet.reply) !== 1))
      this.#complain("Invalid Publish Subject")
    else {
      const taken = this.#house.router.route(this, packet)
      this.#acknowledge()
      if (taken === 0 && packet.reply !== "" && this.#wantsNoResponders) this.#nobodyHears(packet.reply)
    }
  }

  #nobodyHears(reply: string): void {
    const end = noRespondersBlock.length
    this.#house.router.toOwn(this, { subject: reply, reply: "", data: noRespondersBlock, start: 0, bodyAt: end, end })
  }

  subscribe(subject: string, queue: string | undefined, sid: string): void {
    const access = this.#entered()
    if (access === undefined) return
    if (subjectForm(subject) === 0 || (queue !== undefined && subjectForm(queue) === 0)) {
      this.#complain("Invalid Subject")
      return
    }
    const granted = access.subscribe(subject, queue)
    if (granted === "none") {
      const group = queue === undefined ? "" : ` using queue "${queue}"`
      this.#complain(`Permissions Violation for Subscription to "${subject}"${group}`)
      return
    }
    if (this.#subscriptions.size >= this.#house.limits.subscriptionsMax) {
      this.#complain("Maximum Subscriptions Exceeded")
      return
    }
    // The same name again changes nothing, as it is with a NATS server.
    if (!this.#subscriptions.has(sid)) {
      const filtered = granted === "partly"
      const subscription = { client: this, sid, subject, queue, filtered, max: 0, delivered: 0 }
      this.#subscriptions.set(sid, subscription)
      this.#house.router.add(subscription)
    }
    this.#acknowledge()
  }

  unsubscribe(sid: string, max: number): void {
    if (this.#entered() === undefined) return
    const subscription = this.#subscriptions.get(sid)
    if (subscription !== undefined) {
      if (max > subscription.delivered) subscription.max = max
      else {
        this.#subscriptions.delete(sid)
        this.#house.router.remove(subscription)
      }
    }
    this.#acknowledge()
  }

  ping(): void {
    if (this.#entered() !== undefined) this.#outbox.text("PONG\r\n")
  }

  pong(): void {
    if (this.#entered() !== undefined) this.#pingsOut = 0
  }

  /** Nothing is done for a client that has not said who it is. */
  #entered(): Access | undefined {
    if (this.#access === undefined && this.isOpen) this.close("Authorization Violation")
    return this.isOpen ? this.#access : undefined
  }

  #acknowledge(): void {
    if (this.#isVerbose) this.#outbox.text("+OK\r\n")
  }

  /** An error after which the connection goes on. */
  #complain(why: string): void {
    this.#outbox.text(`-ERR '${why}'\r\n`)
  }

  // What the client is told.

  deliver(subscription: Subscription, packet: Packet): boolean {
    const { subject, reply, data, start, bodyAt, end } = packet
    if (subscription.filtered && this.#access?.hears(subject, subscription.queue) !== true) return false
    const to = reply === "" ? `${subject} ${subscription.sid} ` : `${subject} ${subscription.sid} ${reply} `
    if (bodyAt > start && this.#takesHeaders)
      this.#outbox.message(`HMSG ${to}${bodyAt - start} ${end - start}\r\n`, data, start, end)
    else this.#outbox.message(`MSG ${to}${end - bodyAt}\r\n`, data, bodyAt, end)
    if (reply !== "") this.#access?.owe(reply)
    return true
  }

  /** The router has taken out a subscription that has had its last message. */
  ended(subscription: Subscription): void {
    this.#subscriptions.delete(subscription.sid)
  }

  tell(line: string): void {
    this.#outbox.text(line)
  }

  /** Asks whether the client is still there; cuts it off when it has left too many questions open. */
  checkAlive(): void {
    if (this.#access === undefined) return
    if (this.#heardSincePing) this.#pingsOut = 0
    this.#heardSincePing = false
    if (this.#pingsOut >= this.#house.limits.pingsOutMax) {
      this.close("Stale Connection")
      return
    }
    this.#pingsOut++
    this.#outbox.rest()
    this.#outbox.text("PING\r\n")
  }

  // How it ends.

  /** Ends it with an error; `drop` throws away what still waits, because the reader is why there is so much. */
  close(why: string, drop = false): void {
    if (!this.isOpen) return
    this.#leave(why)
    if (drop) this.#outbox.cut(`-ERR '${why}'\r\n`)
    else this.#outbox.end(`-ERR '${why}'\r\n`)
    this.#destroyLater()
  }

  /** Ends it without an error, after all that waits has been written. */
  release(): void {
    this.#finish("the broker stopped")
  }

  #finish(why: string): void {
    if (!this.isOpen) return
    this.#leave(why)
    this.#outbox.end("")
    this.#destroyLater()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #destroyLater(): void {
    const socket = this.#socket
    // What the client still sends is read and thrown away: unread, it would reset the connection, and lose the error.
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), this.#house.limits.farewellMs)
    socket.once("close", () => clearTimeout(timer))
  }

  #gone(why: string): void {
    if (this.isOpen) this.#leave(why)
    this.#socket.destroy()
  }

  #leave(why: string): void {
    this.isOpen = false
    clearTimeout(this.#timer)
    this.#parser.halt()
    for (const subscription of this.#subscriptions.values()) this.#house.router.remove(subscription)
    this.#subscriptions.clear()
    this.#house.left(this, why)
  }
}
