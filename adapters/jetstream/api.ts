/** JetStream's API as it is on the wire: JSON asked and answered over plain requests, by the leader of the stream. */
import type { NatsConnection } from "@nats-io/nats-core"

/** One question: an answer that takes longer than this comes from a server that lost its quorum, or not at all. */
export const askMs = 2_000

/**
 * How long something of unknown fate, or an API that does not answer, is asked again: longer than the election after
 * the death of a leader, which takes 4 to 9 seconds by constants of the server, and than noticing the death before it.
 */
export const doubtMs = 15_000

/** Between two questions of that kind. */
const pauseMs = 100

/**
 * How a connection for logs or leases comes back: soon, and past a server that dies while it greets or is gone
 * without a word, which the client would otherwise wait 20 seconds and some minutes for.
 */
export const steadfast = { maxReconnectAttempts: -1, pingInterval: 5_000, reconnectTimeWait: 100, timeout: 2_000 }

/** The server understood and said no. */
export class Refusal extends Error {
  readonly errCode: number
  constructor(errCode: number, description: string) {
    super(`${description} (${errCode})`)
    this.errCode = errCode
  }
}

/** Asking again will not help: the stream is not what it has to be. */
export class Unfit extends Error {}

export const errors = { noMessage: 10037, noStream: 10059, nameTaken: 10058, wrongSequence: 10071 } as const

/** The same, for the fence of a single subject, while an earlier message is under way: nothing was stored. */
export const wrongSequenceForNow = 10164

interface Answer {
  readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string }
}

export const parse = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString("utf8"))

/** The answer, or its refusal thrown; `A` is what the server's own documentation says comes back. */
export const accepted = <A>(answer: unknown): A => {
  const { error } = answer as Answer
  if (error !== undefined) throw new Refusal(error.err_code ?? error.code ?? 0, error.description ?? "refused")
  return answer as A
}

export const ask = async <A>(
  connection: NatsConnection,
  call: string,
  body: object = {},
  timeout: number = askMs
): Promise<A> => {
  const message = await connection.request(`$JS.API.${call}`, JSON.stringify(body), { timeout })
  return accepted<A>(parse(message.data))
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/** Tries until it succeeds, the server's answer makes trying useless, or the time is over. */
export const patiently = async <A>(run: () => Promise<A>, giveUp: (error: unknown) => boolean = () => false) => {
  const end = performance.now() + doubtMs
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (error instanceof Unfit || giveUp(error) || performance.now() > end) throw error
      await pause(pauseMs)
    }
  }
}

export const whyOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
