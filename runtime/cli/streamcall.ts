/** Requests to the streams of a node over HTTP, as the commands make them: with a key where one is given, and again. */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { keyOfPath, streamFault } from "../../messages/stream.ts"
import { readText } from "../node/files.ts"
import { readNotice } from "../node/notice.ts"
import { dataPath } from "../node/options.ts"
import { adminToken } from "../node/secrets.ts"
import { readGlobals } from "./globals.ts"
import { Problem, usage } from "./problem.ts"
import { noNode } from "./remote.ts"

export interface Reached {
  readonly server: string
  readonly token: string | undefined
  readonly json: boolean
}

/** The node that was named, or else the one that runs on this host. */
export const reached = Effect.gen(function* () {
  const globals = yield* readGlobals
  const { token, json } = globals
  if (globals.server !== undefined)
    return /^https?:\/\//.test(globals.server)
      ? { server: globals.server, token, json }
      : yield* usage(`--server ${globals.server}: streams are reached over http`)
  const data = dataPath(globals.data, process.env)
  const notice = readNotice(data)
  if (notice === undefined) return yield* noNode(globals)
  // Who may read the data directory is this host's administrator.
  const own = token ?? readText(join(data, adminToken))?.trim()
  const made: Reached = { server: notice.http, token: own, json }
  return made
})

/** The URL path of a stream that is named `bucket/name`, or `name` in the default bucket. */
export const pathOf = (name: string): Effect.Effect<string, Problem> => {
  const key = keyOfPath(name.replace(/^\/+/, ""))
  const fault = streamFault(key)
  return fault === undefined
    ? Effect.succeed(`/ds/${key.split("/").map(encodeURIComponent).join("/")}`)
    : Effect.fail(usage(`${JSON.stringify(name)} names no stream: ${fault}`))
}

export interface Sending {
  readonly method: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer> | string
  readonly timeoutMs?: number
}

const usualTimeoutMs = 30_000

const once = ({ server, token }: Reached, path: string, sending: Sending): Effect.Effect<Response, Problem> =>
  Effect.tryPromise({
    try: (signal) =>
      fetch(new URL(path, server), {
        method: sending.method,
        redirect: "error",
        headers: { ...sending.headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
        signal: AbortSignal.any([signal, AbortSignal.timeout(sending.timeoutMs ?? usualTimeoutMs)]),
        ...(sending.body !== undefined && { body: sending.body })
      }),
    catch: (cause) => {
      const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
      return new Problem({ code: "unreachable", message: `${server} does not answer: ${inner}` })
    }
  })

export const bytesOf = (response: Response): Effect.Effect<Uint8Array, Problem> =>
  Effect.tryPromise({
    try: () => response.bytes(),
    catch: (cause) => new Problem({ code: "unreachable", message: `the answer broke off: ${String(cause)}` })
  })

const again = Schedule.exponential("100 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 6 }))

/** An answer that is none of these statuses is a problem, in the words of the node. */
export const call = Effect.fnUntraced(function* (
  to: Reached,
  path: string,
  sending: Sending,
  expected: ReadonlyArray<number> = [200, 201, 204]
) {
  const response = yield* once(to, path, sending)
  if (expected.includes(response.status)) return response
  const text = Buffer.from(yield* bytesOf(response))
    .toString()
    .trim()
  const next = response.status === 401 ? { next: "name an API key with --token or ARTIFACTS_TOKEN" } : {}
  return yield* new Problem({ code: String(response.status), message: text || `${path}: ${response.status}`, ...next })
})

const isPassing = ({ code }: Problem): boolean => code === "unreachable" || code === "503" || code === "429"

/** For what may be repeated: a read, or an append that its producer numbered. */
export const callAgain = (...of: Parameters<typeof call>): ReturnType<typeof call> =>
  call(...of).pipe(Effect.retry({ schedule: again, while: isPassing }))
