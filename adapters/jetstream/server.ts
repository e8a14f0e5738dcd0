/** What a journal has to know of a NATS server: whether its fence holds, and what its disk promises. */
import type { NatsConnection } from "@nats-io/nats-core"
import { parse } from "./api.ts"

/** Before it, a cluster accepted several messages with one and the same expected sequence, or lost whole streams. */
const clusteredFloor = [2, 10, 23]
/** The oldest that this journal is tested with. */
const testedFloor = [2, 10, 27]

const varzMs = 1_000

const isOlder = (version: string, floor: ReadonlyArray<number>): boolean => {
  const parts = version.split(/[.-]/).map(Number)
  for (const [index, least] of floor.entries()) {
    const part = parts[index] ?? 0
    if (part !== least) return part < least
  }
  return false
}

/** Why a journal must not be kept on this server, and what its operator should hear besides. */
export const objectionsTo = (server: { readonly version: string; readonly cluster?: string }) => {
  const { cluster, version } = server
  const tested = testedFloor.join(".")
  if (cluster !== undefined && cluster !== "" && isOlder(version, clusteredFloor)) {
    const why = `nats-server ${version} in a cluster may accept two owners of one log: ${tested} or newer is needed`
    return { refused: why, warned: undefined }
  }
  const warned = isOlder(version, testedFloor)
    ? `nats-server ${version} is older than ${tested}, the oldest tested`
    : undefined
  return { refused: undefined, warned }
}

/** Whether the server flushes before it acknowledges. Only its system account may ask, so often nobody can tell. */
export type SyncPolicy = { readonly known: false } | { readonly known: true; readonly always: boolean }

interface Varz {
  readonly data?: { readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } } }
}

export const syncPolicyOf = async (connection: NatsConnection): Promise<SyncPolicy> => {
  const told: Array<boolean> = []
  try {
    // Every server of a cluster answers, so it ends when nothing more comes for a while.
    const answers = await connection.requestMany("$SYS.REQ.SERVER.PING.VARZ", "", {
      maxWait: varzMs,
      strategy: "stall"
    })
    for await (const answer of answers) {
      const config = (parse(answer.data) as Varz).data?.jetstream?.config
      if (config !== undefined) told.push(config.sync_always === true)
    }
  } catch {
    // No permission, no answer: it is not known, and that is what is said.
    return { known: false }
  }
  return told.length === 0 ? { known: false } : { always: told.every((always) => always), known: true }
}
