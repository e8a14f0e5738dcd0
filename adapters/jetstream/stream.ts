/** The stream that holds one shard's log: how it is made, checked, read by sequence and cut. */
import type { NatsConnection } from "@nats-io/nats-core"
import { messageBytesMax } from "../../messages/limits.ts"
import { logSubject } from "../../messages/subjects.ts"
import { ask, errors, patiently, Refusal, Unfit } from "./api.ts"

export const streamOf = (shard: number): string => `ART_LOG_${shard}`

interface Config {
  readonly name: string
  readonly subjects?: ReadonlyArray<string>
  readonly storage: string
  readonly retention: string
  readonly num_replicas: number
  readonly max_msgs: number
  readonly max_bytes: number
  readonly max_age: number
  readonly max_msgs_per_subject: number
  readonly max_msg_size?: number
}
export interface Info {
  readonly config: Config
  readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number }
}

const unlimited = -1

const wanted = (shard: number, replicas: number): Config & Record<string, unknown> => ({
  name: streamOf(shard),
  subjects: [logSubject(shard)],
  storage: "file",
  retention: "limits",
  discard: "new",
  num_replicas: replicas,
  max_msgs: unlimited,
  max_bytes: unlimited,
  max_age: 0,
  max_msgs_per_subject: unlimited,
  max_msg_size: messageBytesMax,
  // Nobody deletes one message of a log, and reads that may be stale are not even offered.
  deny_delete: true,
  allow_direct: false
})

/** What in an existing stream would lose entries, or is another stream altogether. */
const unfitness = (found: Config, asked: Config): string | undefined => {
  const subjects = (found.subjects ?? []).join(", ")
  if (subjects !== asked.subjects?.join(", ")) return `its subjects are ${subjects}`
  if (found.storage !== "file") return `its storage is ${found.storage}`
  if (found.retention !== "limits") return `its retention is ${found.retention}`
  if (found.num_replicas < asked.num_replicas) return `it has ${found.num_replicas} replicas, not ${asked.num_replicas}`
  if (found.max_age !== 0) return "it forgets messages by their age"
  for (const limit of ["max_msgs", "max_bytes", "max_msgs_per_subject"] as const) {
    if (found[limit] > 0) return `it has a limit: ${limit} ${found[limit]}`
  }
  const size = found.max_msg_size ?? unlimited
  return size > 0 && size < messageBytesMax ? `its messages are limited to ${size} bytes` : undefined
}

export const infoOf = (connection: NatsConnection, shard: number): Promise<Info> =>
  ask<Info>(connection, `STREAM.INFO.${streamOf(shard)}`)

/** Makes the stream unless it is there, and refuses one that would not keep a log. */
export const ensure = (connection: NatsConnection, shard: number, replicas: number): Promise<void> =>
  patiently(async () => {
    const asked = wanted(shard, replicas)
    const found = await infoOf(connection, shard).catch((error: unknown) => {
      if (error instanceof Refusal && error.errCode === errors.noStream) return undefined
      throw error
    })
    const { config } = found ?? (await ask<Info>(connection, `STREAM.CREATE.${asked.name}`, asked))
    const why = unfitness(config, asked)
    if (why !== undefined) throw new Unfit(`the stream ${asked.name} cannot keep a log: ${why}`)
  })

/** The message as the leader has it, or undefined when there is none with this sequence. */
export const messageAt = async (
  connection: NatsConnection,
  shard: number,
  sequence: number,
  timeoutMs?: number
): Promise<Buffer | undefined> => {
  try {
    const { message } = await ask<{ readonly message: { readonly data?: string } }>(
      connection,
      `STREAM.MSG.GET.${streamOf(shard)}`,
      { seq: sequence },
      timeoutMs
    )
    return Buffer.from(message.data ?? "", "base64")
  } catch (error) {
    if (error instanceof Refusal && error.errCode === errors.noMessage) return undefined
    throw error
  }
}

/** Forgets all messages before this sequence. */
export const purgeBefore = (connection: NatsConnection, shard: number, sequence: number): Promise<unknown> =>
  ask(connection, `STREAM.PURGE.${streamOf(shard)}`, { seq: sequence })
