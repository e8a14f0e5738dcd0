/** Reads a stream from a sequence on through a push consumer of its own, and says when what comes is not whole. */
import { createInbox, type Msg, type NatsConnection, nuid, type Subscription } from "@nats-io/nats-core"
import { positionOf, readFrame } from "../../runtime/journal/frame.ts"
import { Corrupt, type Read } from "../../runtime/ports/journal.ts"
import { ask, doubtMs, pause } from "./api.ts"
import { Chain } from "./chain.ts"
import { infoOf, messageAt, streamOf } from "./stream.ts"

/** The server says so often that it is there; after three of them without a word the consumer is made again. */
const heartbeatMs = 1_000
const silenceMs = 3 * heartbeatMs

/** What may wait here before the server is told to pause, and one page of it. */
const waitingBytesMax = 8 * 1024 * 1024
const pageBytesMax = 1024 * 1024

/** How often a consumer may skip what the leader has before its replica is taken for damaged. */
const skipsMax = 5

interface Arrived {
  readonly sequence: number
  readonly data: Uint8Array
}

export interface ReplayOptions {
  readonly connection: NatsConnection
  readonly shard: number
  readonly log: string
  /** Where to begin, and the last sequence to read; without it the replay goes on for ever. */
  readonly from: number
  readonly last?: number
}

/** The stream's and the consumer's own sequence, from the subject that the server gives a delivery to reply to. */
const sequencesOf = (reply: string): readonly [number, number] => {
  const tokens = reply.split(".")
  const first = tokens.length === 9 ? 5 : 7
  return [Number(tokens[first]), Number(tokens[first + 1])]
}

const nanos = (ms: number): number => ms * 1_000_000

export class Replay {
  readonly #options: ReplayOptions
  readonly #chain = new Chain()
  #arrived: Array<Arrived> = []
  #bytes = 0
  /** The next sequence to arrive, and the next to be given out. */
  #expected: number
  #next: number
  #consumer = ""
  #delivered = 0
  #subscription: Subscription | undefined
  #heldFlow: string | undefined
  #heardMs = 0
  #skips = 0
  #wake: (() => void) | undefined
  #closed = false

  constructor(options: ReplayOptions) {
    this.#options = options
    this.#expected = options.from
    this.#next = options.from
  }

  /** The next page, or undefined at the end. */
  async page(): Promise<ReadonlyArray<Read> | undefined> {
    const { last = Number.POSITIVE_INFINITY } = this.#options
    for (;;) {
      if (this.#next > last || this.#closed) return undefined
      const reads = await this.#takePage(last)
      if (reads.length > 0) return reads
      if (this.#arrived.length === 0 && this.#next <= last) await this.#listen()
    }
  }

  close(): void {
    this.#closed = true
    this.#stop()
    this.#wake?.()
  }

  async #takePage(last: number): Promise<Array<Read>> {
    const reads: Array<Read> = []
    let bytes = 0
    let taken = 0
    for (const { data, sequence } of this.#arrived) {
      if (sequence > last) {
        this.#next = sequence
        break
      }
      if (sequence > this.#next && !(await this.#mayBegin(sequence))) return reads
      taken += 1
      bytes += data.byteLength
      const frame = readFrame(data, sequence)
      if ("broken" in frame) throw this.#corrupt(sequence, frame.broken)
      if (this.#chain.takes(frame)) for (const read of frame.reads) reads.push(read)
      this.#next = sequence + 1
      if (bytes >= pageBytesMax) break
    }
    this.#arrived.splice(0, taken)
    this.#bytes -= bytes
    this.#releaseFlow()
    return reads
  }

  #corrupt(sequence: number, why: string): Corrupt {
    return new Corrupt({ log: this.#options.log, position: positionOf(sequence, 0), why })
  }

  /** What lies between was truncated; or this replica lacks it, and another one is asked; or it is lost. */
  async #mayBegin(sequence: number): Promise<boolean> {
    const { connection, shard } = this.#options
    const { state } = await infoOf(connection, shard)
    if (state.first_seq >= sequence) return true
    const missing = Math.max(this.#next, state.first_seq)
    const kept = await messageAt(connection, shard, missing)
    if (kept === undefined) throw this.#corrupt(missing, `frame ${missing} is missing: ${sequence} is the next one`)
    this.#skips += 1
    if (this.#skips > skipsMax) throw this.#corrupt(missing, `a replica skips frame ${missing}, which its leader has`)
    this.#next = missing
    this.#stop()
    return false
  }

  /** Waits until something arrives; where nothing is heard any more, begins again from what is missing. */
  async #listen(): Promise<void> {
    if (this.#subscription === undefined) await this.#start()
    if (this.#arrived.length > 0 || this.#closed) return
    const heard = await this.#signal(silenceMs)
    if (!heard && performance.now() - this.#heardMs > silenceMs) this.#stop()
  }

  #signal(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (heard: boolean) => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve(heard)
      }
      const timer = setTimeout(() => done(false), ms)
      this.#wake = () => done(true)
    })
  }

  async #start(): Promise<void> {
    const end = performance.now() + doubtMs
    while (!this.#closed) {
      try {
        await this.#create()
        return
      } catch (error) {
        this.#stop()
        if (performance.now() > end) throw error
        await pause(100)
      }
    }
  }

  async #create(): Promise<void> {
    const { connection, shard } = this.#options
    this.#arrived = []
    this.#bytes = 0
    this.#delivered = 0
    this.#expected = this.#next
    const inbox = createInbox()
    this.#subscription = connection.subscribe(inbox, { callback: (_error, message) => this.#heard(message) })
    this.#consumer = nuid.next()
    const stream = streamOf(shard)
    await ask(connection, `CONSUMER.CREATE.${stream}.${this.#consumer}`, {
      config: {
        ack_policy: "none",
        deliver_policy: "by_start_sequence",
        deliver_subject: inbox,
        flow_control: true,
        idle_heartbeat: nanos(heartbeatMs),
        inactive_threshold: nanos(10 * heartbeatMs),
        max_deliver: 1,
        mem_storage: true,
        name: this.#consumer,
        num_replicas: 1,
        opt_start_seq: Math.max(this.#next, 1)
      },
      stream_name: stream
    })
    this.#heardMs = performance.now()
  }

  #stop(): void {
    if (this.#subscription === undefined) return
    this.#subscription.unsubscribe()
    this.#subscription = undefined
    this.#arrived = []
    this.#bytes = 0
    this.#heldFlow = undefined
    const { connection, shard } = this.#options
    // Without it the server would find out by itself that nobody listens, some seconds later.
    if (!connection.isClosed()) connection.publish(`$JS.API.CONSUMER.DELETE.${streamOf(shard)}.${this.#consumer}`)
  }

  #heard(message: Msg): void {
    this.#heardMs = performance.now()
    if (message.headers !== undefined && message.headers.code !== 0) {
      this.#status(message)
      return
    }
    const [sequence, delivered] = sequencesOf(message.reply ?? "")
    if (sequence < this.#expected) return
    if (delivered !== this.#delivered + 1) {
      // Something was lost on the way here, not in the stream: it is asked for again.
      this.#stop()
      this.#wake?.()
      return
    }
    this.#delivered = delivered
    this.#expected = sequence + 1
    this.#arrived.push({ data: message.data, sequence })
    this.#bytes += message.data.byteLength
    this.#wake?.()
  }

  /** Heartbeats and requests to say that we keep up, which we answer when we do. */
  #status(message: Msg): void {
    const { headers } = message
    if (headers?.code !== 100) {
      this.#stop()
      this.#wake?.()
      return
    }
    const flow = message.reply || headers.get("Nats-Consumer-Stalled")
    if (flow) this.#heldFlow = flow
    this.#releaseFlow()
  }

  #releaseFlow(): void {
    if (this.#heldFlow === undefined || this.#bytes > waitingBytesMax) return
    this.#options.connection.publish(this.#heldFlow)
    this.#heldFlow = undefined
  }
}
