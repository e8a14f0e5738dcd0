/** The registry in a NATS key-value bucket: read from the leader alone, written by compare-and-set. */
import { headers, type NatsConnection, nuid } from "@nats-io/nats-core"
import { connect, type NodeConnectionOptions } from "@nats-io/transport-node"
import { Effect, Layer, type Scope } from "effect"
import { type Record, Registry, RegistryConflict, RegistryDown } from "../../runtime/ports/registry.ts"
import {
  accepted,
  ask,
  errors,
  parse,
  patiently,
  pause,
  Refusal,
  steadfast,
  Unfit,
  whyOf,
  wrongSequenceForNow
} from "./api.ts"

export interface Options {
  readonly connection: NodeConnectionOptions
  readonly replicas: 1 | 3
  readonly bucket?: string
}

const bucketDefault = "ART_REGISTRY"

/** One attempt at a write. */
const writeMs = 2_000
/** The server has not yet let go of the write before this one: it says so for less than a millisecond. */
const againMs = 20

/** Names one write, so that a write of unknown fate is recognised when it is found. */
const writeHeader = "Art-Write"

const keyPattern = /^[-_=/A-Za-z0-9]+(\.[-_=/A-Za-z0-9]+)*$/

interface Stored {
  readonly message: { readonly seq: number; readonly data?: string; readonly hdrs?: string }
}
interface Found {
  readonly record: Record
  readonly write: string
}

class Bucket {
  readonly connection: NatsConnection
  readonly #stream: string
  readonly #prefix: string
  readonly #replicas: number
  #made: Promise<void> | undefined

  constructor(connection: NatsConnection, options: Options) {
    const bucket = options.bucket ?? bucketDefault
    this.connection = connection
    this.#stream = `KV_${bucket}`
    this.#prefix = `$KV.${bucket}.`
    this.#replicas = options.replicas
  }

  ready(): Promise<void> {
    if (this.#made === undefined) {
      const made = patiently(() => this.#make())
      this.#made = made
      made.catch(() => {
        this.#made = undefined
      })
    }
    return this.#made
  }

  async #make(): Promise<void> {
    const config = {
      allow_direct: false,
      allow_rollup_hdrs: true,
      deny_delete: true,
      discard: "new",
      max_age: 0,
      max_msgs_per_subject: 1,
      name: this.#stream,
      num_replicas: this.#replicas,
      retention: "limits",
      storage: "file",
      subjects: [`${this.#prefix}>`]
    }
    const { config: found } = await ask<{ config: { num_replicas: number; subjects?: ReadonlyArray<string> } }>(
      this.connection,
      `STREAM.INFO.${this.#stream}`
    ).catch((error: unknown) => {
      if (!(error instanceof Refusal) || error.errCode !== errors.noStream) throw error
      return ask<{ config: typeof config }>(this.connection, `STREAM.CREATE.${this.#stream}`, config)
    })
    if (found.num_replicas < this.#replicas || found.subjects?.[0] !== config.subjects[0]) {
      throw new Unfit(`the stream ${this.#stream} is not a bucket with ${this.#replicas} replicas`)
    }
  }

  #subject(key: string): string {
    if (!keyPattern.test(key)) throw new Error(`"${key}" cannot be the key of a record`)
    return `${this.#prefix}${key}`
  }

  /** The record as the leader has it. */
  async find(key: string): Promise<Found | undefined> {
    const body = { last_by_subj: this.#subject(key) }
    try {
      const { message } = await ask<Stored>(this.connection, `STREAM.MSG.GET.${this.#stream}`, body)
      const head = Buffer.from(message.hdrs ?? "", "base64").toString("latin1")
      const write = new RegExp(`^${writeHeader}: ?(.*)\r$`, "m").exec(head)?.[1] ?? ""
      const value = Buffer.from(message.data ?? "", "base64").toString("utf8")
      return { record: { key, revision: message.seq, value }, write }
    } catch (error) {
      if (error instanceof Refusal && error.errCode === errors.noMessage) return undefined
      throw error
    }
  }

  async all(): Promise<Array<Record>> {
    await this.ready()
    const info = await patiently(() =>
      ask<{ state: { subjects?: { readonly [subject: string]: number } } }>(
        this.connection,
        `STREAM.INFO.${this.#stream}`,
        { subjects_filter: `${this.#prefix}>` }
      )
    )
    const keys = Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(this.#prefix.length))
    const found = await Promise.all(keys.map((key) => patiently(() => this.find(key))))
    return found.filter((one) => one !== undefined).map((one) => one.record)
  }

  /** The revision of what was written, or undefined when the record is another one by now. */
  async write(key: string, value: string, revision: number): Promise<number | undefined> {
    await this.ready()
    const subject = this.#subject(key)
    const write = nuid.next()
    const head = headers()
    head.set("Nats-Expected-Stream", this.#stream)
    head.set("Nats-Expected-Last-Subject-Sequence", String(revision))
    head.set(writeHeader, write)
    return await patiently(async () => {
      try {
        const reply = await this.connection.request(subject, value, { headers: head, timeout: writeMs })
        return accepted<{ readonly seq: number }>(parse(reply.data)).seq
      } catch (error) {
        if (error instanceof Refusal && error.errCode === wrongSequenceForNow) await pause(againMs)
        // It may have been written all the same: the record says whether this write, another one or none was.
        const found = await this.find(key)
        if (found?.write === write) return found.record.revision
        if ((found?.record.revision ?? 0) !== revision) return undefined
        throw error
      }
    })
  }

  /** False when the record is another one by now. Purging up to its revision cannot touch a later one. */
  async remove(key: string, revision: number): Promise<boolean> {
    await this.ready()
    const found = await patiently(() => this.find(key))
    if (found?.record.revision !== revision) return false
    const body = { filter: this.#subject(key), seq: revision + 1 }
    await patiently(() => ask(this.connection, `STREAM.PURGE.${this.#stream}`, body))
    return (await patiently(() => this.find(key))) === undefined
  }
}

const opened = (options: Options): Effect.Effect<Bucket, RegistryDown, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      catch: (error) => new RegistryDown({ why: whyOf(error) }),
      try: async () => new Bucket(await connect({ ...steadfast, ...options.connection }), options)
    }),
    (bucket) => Effect.promise(() => bucket.connection.close())
  )

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, RegistryDown> =>
  Effect.tryPromise({ catch: (error) => new RegistryDown({ why: whyOf(error) }), try: run })

/** Connects; the bucket is made when it is first asked for. */
export const layer = (options: Options): Layer.Layer<Registry, RegistryDown> =>
  Layer.effect(
    Registry,
    Effect.map(opened(options), (bucket) =>
      Registry.of({
        all: attempt(() => bucket.all()),
        remove: (key, revision) =>
          Effect.flatMap(
            attempt(() => bucket.remove(key, revision)),
            (removed) => (removed ? Effect.void : Effect.fail(new RegistryConflict({ key })))
          ),
        write: (key, value, revision) =>
          Effect.flatMap(
            attempt(() => bucket.write(key, value, revision)),
            (written) => (written === undefined ? Effect.fail(new RegistryConflict({ key })) : Effect.succeed(written))
          )
      })
    )
  )
