/** `artifacts stream`: durable streams, made, filled, read and followed from a shell. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { keyOfPath, pathOfKey } from "../../messages/stream.ts"
import { asJson, card, table, when, write } from "./print.ts"
import { usage } from "./problem.ts"
import { bytesOf, call, pathOf, type Reached, reached } from "./streamcall.ts"
import { append as appendTo, read as readFrom, remark, show, typeOf } from "./streamio.ts"
import { verify } from "./streamproof.ts"

const name = Argument.String("STREAM").pipe(Argument.withDescription("bucket/name, or a name in the default bucket"))

const text = (flag: string, metavar: string, description: string) =>
  Flag.String(flag).pipe(Flag.withDescription(description), Flag.withMetavar(metavar), Flag.optional)

const type = text("type", "TYPE", "The content type (application/json makes a stream of messages)")
const ttl = text("ttl", "SECONDS", "It ends when nobody has read or written it for so long")
const expiresAt = text("expires-at", "TIME", "When it ends, as in 2030-01-31T00:00:00Z")

const given = (headers: Readonly<Record<string, Option.Option<string>>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([header, value]) => (Option.isSome(value) ? [[header, value.value] as const] : []))
  )

interface Made {
  readonly stream: string
  readonly status: number
  readonly offset: string
}

const sayMade = (made: Made, json: boolean) =>
  write(
    json
      ? asJson({ stream: made.stream, created: made.status === 201, next_offset: made.offset })
      : `stream ${made.stream} ${made.status === 201 ? "created" : "is there already"}, at ${made.offset}`
  )

const create = Command.make(
  "create",
  {
    ...{ name, type, ttl, expiresAt },
    proof: Flag.Boolean("proof").pipe(
      Flag.withDescription("Chain what is appended by digests, so that what is read can be verified"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* ({ name: stream, type: contentType, ttl: seconds, expiresAt: end, proof }) {
    const to = yield* reached
    const path = yield* pathOf(stream)
    const headers = {
      ...given({ "content-type": contentType, "stream-ttl": seconds, "stream-expires-at": end }),
      ...(proof && { "stream-proof": "sha-256" })
    }
    const response = yield* call(to, path, { method: "PUT", headers })
    const offset = response.headers.get("stream-next-offset") ?? ""
    yield* sayMade({ stream, status: response.status, offset }, to.json)
  })
).pipe(Command.withDescription("Make a stream; one that is there and alike will do"))

const append = Command.make(
  "append",
  {
    name,
    data: Argument.String("DATA").pipe(
      Argument.withDescription("What to append (the standard input)"),
      Argument.optional
    ),
    lines: Flag.Boolean("lines").pipe(
      Flag.withDescription("Each line of the input is an append, or a message, of its own, as soon as it is there"),
      Flag.withDefault(false)
    ),
    type,
    create: Flag.Boolean("create").pipe(Flag.withDescription("Make the stream first"), Flag.withDefault(false)),
    ifMatch: text("if-match", "OFFSET", "Only when the stream ends there"),
    fence: text("fence", "FENCE", "Only while the claim holds that was answered with it")
  },
  Effect.fnUntraced(function* ({ name: stream, data, lines, type: wanted, create: isNew, ifMatch, fence }) {
    const to = yield* reached
    const path = yield* pathOf(stream)
    const usual = Option.getOrUndefined(wanted) ?? (yield* typeOf(to, path)) ?? "text/plain"
    if (isNew) yield* call(to, path, { method: "PUT", headers: { "content-type": usual } })
    const expected = Option.getOrUndefined(ifMatch)
    if (expected !== undefined && Option.isNone(data))
      return yield* usage("--if-match is for one append: give the data as an argument")
    const next = yield* appendTo(to, {
      path,
      type: usual,
      data: Option.getOrUndefined(data),
      lines,
      ifMatch: expected,
      fence: Option.getOrUndefined(fence)
    })
    if (to.json) yield* write(asJson({ stream, next_offset: next }))
  })
).pipe(Command.withDescription("Append to a stream, from an argument or the standard input"))

const offset = (usual: string) =>
  Flag.String("offset").pipe(
    Flag.withDescription(`Where to begin: -1, now, or an offset that was returned (${usual})`),
    Flag.withDefault(usual)
  )

const read = Command.make(
  "read",
  {
    name,
    offset: offset("-1"),
    verify: Flag.Boolean("verify").pipe(
      Flag.withDescription("Redo the stream's hash chain over what is read, and fail when it is another"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* ({ name: stream, offset: from, verify: isVerified }) {
    const to = yield* reached
    if (isVerified) return yield* readVerified(to, stream, from)
    yield* readFrom(to, { path: yield* pathOf(stream), offset: encodeURIComponent(from), follow: false })
  })
).pipe(Command.withDescription("Write what a stream holds to the standard output; JSON, a message a line"))

const readVerified = Effect.fnUntraced(function* (to: Reached, stream: string, from: string) {
  if (from !== "-1") return yield* usage("--verify reads from the start: leave --offset away")
  const told = yield* verify(to, stream, yield* pathOf(stream), show)
  const { appends, bytes, digest, offset: end } = told
  // What was read is on the standard output.
  yield* remark(
    to.json ? asJson({ stream, ...told }) : `verified: ${appends} appends, ${bytes} bytes, sha-256 ${digest} at ${end}`
  )
})

const tail = Command.make(
  "tail",
  { name, offset: offset("now") },
  Effect.fnUntraced(function* ({ name: stream, offset: from }) {
    const to = yield* reached
    yield* readFrom(to, { path: yield* pathOf(stream), offset: encodeURIComponent(from), follow: true })
  })
).pipe(Command.withDescription("Follow a stream until it is closed"))

interface Listed {
  readonly stream_id: string
  readonly status: string
  readonly content_type: string
  readonly tail_offset: string
  readonly last_write_at_ms: number
}
interface Page {
  readonly streams: ReadonlyArray<Listed>
  readonly next_cursor?: string
  readonly has_more: boolean
}

const ls = Command.make(
  "ls",
  {
    bucket: Argument.String("BUCKET").pipe(Argument.withDescription("_default holds streams without a bucket")),
    prefix: Flag.String("prefix").pipe(Flag.withDescription("How their names begin"), Flag.withDefault(""))
  },
  Effect.fnUntraced(function* ({ bucket, prefix }) {
    const to = yield* reached
    const all: Array<Listed> = []
    for (let after = ""; ; ) {
      const query = new URLSearchParams({ prefix, limit: "1000", ...(after !== "" && { after }) })
      const response = yield* call(to, `/ds/${encodeURIComponent(bucket)}?${query}`, { method: "GET" })
      const page = JSON.parse(Buffer.from(yield* bytesOf(response)).toString()) as Page
      all.push(...page.streams)
      if (!page.has_more || page.next_cursor === undefined) break
      after = page.next_cursor
    }
    if (to.json) return yield* write(asJson(all))
    if (all.length === 0) return yield* write("no streams")
    const row = (each: Listed) => [
      pathOfKey(`${bucket}/${each.stream_id}`),
      each.status,
      each.content_type,
      String(Number(each.tail_offset.slice(17))),
      when(each.last_write_at_ms)
    ]
    yield* write(table(["STREAM", "STATUS", "TYPE", "BYTES", "WRITTEN"], all.map(row)))
  })
).pipe(Command.withDescription("List the streams of a bucket"))

const close = Command.make(
  "close",
  { name },
  Effect.fnUntraced(function* ({ name: stream }) {
    const to = yield* reached
    const response = yield* call(to, yield* pathOf(stream), { method: "POST", headers: { "stream-closed": "true" } })
    const end = response.headers.get("stream-next-offset") ?? ""
    yield* write(to.json ? asJson({ stream, closed: true, next_offset: end }) : `stream ${stream} is closed at ${end}`)
  })
).pipe(Command.withDescription("Close a stream: its readers come to an end"))

const remove = Command.make(
  "delete",
  { name },
  Effect.fnUntraced(function* ({ name: stream }) {
    const to = yield* reached
    yield* call(to, yield* pathOf(stream), { method: "DELETE" })
    yield* write(to.json ? asJson({ stream, deleted: true }) : `stream ${stream} deleted`)
  })
).pipe(Command.withDescription("Delete a stream; what its forks share stays for them"))

const fork = Command.make(
  "fork",
  {
    source: Argument.String("SOURCE").pipe(Argument.withDescription("The stream whose data the fork shares")),
    name,
    offset: text("offset", "OFFSET", "Where it leaves its source (the end)"),
    subOffset: text("sub-offset", "COUNT", "And so many bytes or messages of the append that begins there")
  },
  Effect.fnUntraced(function* ({ source, name: stream, offset: at, subOffset }) {
    const to = yield* reached
    const headers = {
      "stream-forked-from": yield* pathOf(keyOfPath(source)),
      ...given({ "stream-fork-offset": at, "stream-fork-sub-offset": subOffset })
    }
    const response = yield* call(to, yield* pathOf(stream), { method: "PUT", headers })
    const next = response.headers.get("stream-next-offset") ?? ""
    yield* sayMade({ stream, status: response.status, offset: next }, to.json)
  })
).pipe(Command.withDescription("Make a stream that begins as another one was"))

const inspect = Command.make(
  "inspect",
  {
    name,
    at: text("at", "TIME", "As it stood then, as in 2026-11-20T09:00:00Z, if the log still has it"),
    offset: text("offset", "OFFSET", "As it stood when its end came there")
  },
  Effect.fnUntraced(function* ({ name: stream, ...past }) {
    const to = yield* reached
    const query = new URLSearchParams(given(past)).toString()
    const path = `${yield* pathOf(stream)}/inspect${query === "" ? "" : `?${query}`}`
    const response = yield* call(to, path, { method: "GET" })
    const told = JSON.parse(Buffer.from(yield* bytesOf(response)).toString()) as Record<string, unknown>
    if (to.json) return yield* write(asJson(told))
    const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))
    yield* write(card(Object.entries(told).map(([field, value]) => [field, shown(value)] as const)))
  })
).pipe(Command.withDescription("Show how a stream stands, and where it lives"))

const listen = Command.make(
  "credentials",
  {
    under: Argument.String("BUCKET|STREAM").pipe(
      Argument.withDescription("Only of this bucket, or of this stream and those below it"),
      Argument.optional
    )
  },
  Effect.fnUntraced(function* ({ under }) {
    const to = yield* reached
    const { credentials } = yield* Effect.promise(() => import("../node/listener.ts"))
    const { creds, ...issued } = yield* credentials(to, Option.getOrUndefined(under))
    yield* write(to.json ? asJson({ ...issued, creds }) : creds.trimEnd())
  })
).pipe(Command.withDescription("Print credentials for NATS, with which what is appended is heard for a day"))

export const stream = Command.make("stream").pipe(
  Command.withDescription("Durable streams"),
  Command.withSubcommands([create, append, read, tail, ls, close, remove, fork, inspect, listen])
)
