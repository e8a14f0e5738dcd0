/** A node over HTTP: its gateway, with an API key. */
import { Effect, Option, Schema } from "effect"
import { type Call, patienceMs, type Remote } from "./call.ts"
import { Problem } from "./problem.ts"

const Tagged = Schema.Record(Schema.String, Schema.Unknown)
const Body = Schema.Struct({
  ok: Schema.optionalKey(Schema.Unknown),
  refused: Schema.optionalKey(Tagged),
  failed: Schema.optionalKey(Tagged),
  code: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String)
})
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Body))

const unreachable = (server: string, cause: unknown): Problem => {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : ""
  const why = cause instanceof Error ? inner || cause.message : String(cause)
  return new Problem({ code: "unreachable", message: `${server} does not answer: ${why}` })
}

/** One request, with a bound on how long it may take. */
export const fetched = (server: string, path: string, init: RequestInit = {}): Effect.Effect<Response, Problem> =>
  Effect.tryPromise({
    try: () =>
      fetch(new URL(path, server), { ...init, redirect: "error", signal: AbortSignal.timeout(patienceMs + 2000) }),
    catch: (cause) => unreachable(server, cause)
  })

export const bodyOf = (server: string, response: Response): Effect.Effect<string, Problem> =>
  Effect.tryPromise({ try: () => response.text(), catch: (cause) => unreachable(server, cause) })

const post = Effect.fnUntraced(function* (server: string, token: string, call: Call) {
  const headers: Record<string, string> = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "art-deadline": String(Date.now() + patienceMs)
  }
  if (call.commandId !== undefined) headers["art-id"] = call.commandId
  const path = `/v1/${call.verb}/${call.kind}/${call.id}/${call.name}`
  const response = yield* fetched(server, path, { method: "POST", headers, body: call.body })
  const text = yield* bodyOf(server, response)
  const body = Option.getOrUndefined(decode(text))
  if (body === undefined)
    return yield* new Problem({
      code: "unreachable",
      message: `${server} answers ${response.status}, and not as a node does: ${text.slice(0, 100)}`
    })
  if (response.ok && "ok" in body) return { ok: body.ok }
  if (body.refused !== undefined) return { refused: body.refused as { readonly _tag: string } }
  if (body.failed !== undefined) return { failed: body.failed as never }
  return yield* new Problem({
    code: body.code ?? String(response.status),
    message: body.message ?? `${server} answers ${response.status}`,
    ...(response.status === 401 ? { next: "look at --token and ARTIFACTS_TOKEN" } : {})
  })
})

export const webRemote = (server: string, token: string): Remote => ({ call: (call) => post(server, token, call) })
