/** Who gets a message: the step between whoever publishes and all who listen, without sockets and without Effect. */
import { Interest, nextOf } from "./interest.ts"

/** One message on its way. It is used again for the next one: a client copies what it keeps. */
export interface Packet {
  subject: string
  reply: string
  /** Headers from `start`, the body from `bodyAt`, both before `end`. There are no headers when the two are equal. */
  data: Buffer
  start: number
  bodyAt: number
  end: number
}

export interface Client {
  /** False when it hears nothing of what it says itself. */
  readonly echo: boolean
  readonly isOpen: boolean
  /** Takes the message for this subscription; false when it may not have it or is gone. */
  readonly deliver: (subscription: Subscription, packet: Packet, from: Client) => boolean
}

export interface Subscription {
  readonly client: Client
  /** The client's own name for it. */
  readonly sid: string
  readonly subject: string
  readonly queue: string | undefined
  /** Each message is asked for by its subject, because a part of what the pattern matches is denied. */
  readonly filtered: boolean
  /** It ends by itself after so many messages; 0 when it does not. */
  max: number
  delivered: number
}

export interface Traffic {
  messagesIn: number
  bytesIn: number
  messagesOut: number
  bytesOut: number
}

export class Router {
  readonly #interest = new Interest<Subscription>()
  readonly traffic: Traffic = { messagesIn: 0, bytesIn: 0, messagesOut: 0, bytesOut: 0 }
  readonly #ended: (subscription: Subscription) => void

  /** `ended` is told of a subscription that has had its last message. */
  constructor(ended: (subscription: Subscription) => void) {
    this.#ended = ended
  }

  get subscriptions(): number {
    return this.#interest.size
  }

  add(subscription: Subscription): void {
    this.#interest.add(subscription.subject, subscription.queue, subscription)
  }

  remove(subscription: Subscription): void {
    this.#interest.remove(subscription.subject, subscription.queue, subscription)
  }

  /** True when nobody listens: then it has been counted, and need not be made into a packet. */
  isForNobody(subject: string, bytes: number): boolean {
    const { each, groups } = this.#interest.match(subject)
    if (each.length > 0 || groups.length > 0) return false
    this.traffic.messagesIn++
    this.traffic.bytesIn += bytes
    return true
  }

  /** Hands it to everybody who listens; says how many took it. The subject has been checked before. */
  route(from: Client, packet: Packet): number {
    const { traffic } = this
    traffic.messagesIn++
    traffic.bytesIn += packet.end - packet.start
    const { each, groups } = this.#interest.match(packet.subject)
    let taken = 0
    for (let at = 0; at < each.length; at++) if (this.#give(each[at] as Subscription, from, packet)) taken++
    for (let at = 0; at < groups.length; at++) {
      const group = groups[at] as (typeof groups)[number]
      // A member that cannot take it loses its turn, and the next one is asked: once around, then nobody can.
      for (let tried = 0; tried < group.members.length; tried++) {
        if (!this.#give(nextOf(group), from, packet)) continue
        taken++
        break
      }
    }
    return taken
  }

  /** Hands it to this client's own subscriptions alone: an answer that the router itself gives. */
  toOwn(client: Client, packet: Packet): void {
    for (const subscription of this.#interest.match(packet.subject).each)
      if (subscription.client === client) client.deliver(subscription, packet, client)
  }

  #give(subscription: Subscription, from: Client, packet: Packet): boolean {
    const { client } = subscription
    if (!client.isOpen || (client === from && !from.echo)) return false
    if (!client.deliver(subscription, packet, from)) return false
    subscription.delivered++
    this.traffic.messagesOut++
    this.traffic.bytesOut += packet.end - packet.start
    if (subscription.max > 0 && subscription.delivered >= subscription.max) {
      this.remove(subscription)
      this.#ended(subscription)
    }
    return true
  }
}
