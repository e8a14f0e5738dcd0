/** The data of streams through pipes: from the standard input into them, and from them to the standard output. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { isJsonType, startOffset } from "../../messages/stream.ts"
import { Problem } from "./problem.ts"
import { bytesOf, call, callAgain, type Reached } from "./streamcall.ts"

/** What one request takes of the standard input. */
const chunkBytesMax = 128 * 1024

/** Whoever reads our output less fast than it comes is waited for; who has gone ends the command. */
const put = (bytes: Uint8Array | string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    process.stdout.write(bytes, () => resume(Effect.void))
  })

/** For a person, or a machine, beside the data on the standard output. */
export const remark = (text: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    process.stderr.write(`${text}\n`, () => resume(Effect.void))
  })

/** One message a line, for a JSON stream; the bytes as they are, for any other. */
export const show = (bytes: Uint8Array, isJson: boolean): Effect.Effect<void> => {
  if (!isJson) return put(bytes)
  const messages = JSON.parse(Buffer.from(bytes).toString()) as ReadonlyArray<unknown>
  return put(messages.map((message) => `${JSON.stringify(message)}\n`).join(""))
}

const dataOf = (type: string, bytes: Buffer): object => {
  if (isJsonType(type)) return bytes.length <= 2 ? {} : { json: JSON.parse(bytes.toString()) as unknown }
  if (bytes.length === 0) return {}
  return type.startsWith("text/") ? { text: bytes.toString() } : { base64: bytes.toString("base64") }
}

/** What one answer has, as one line for a machine: the data, and where it lies. */
const tell = (path: string, at: string, { headers }: Response, bytes: Uint8Array): Effect.Effect<void> => {
  const data = dataOf(headers.get("content-type") ?? "", Buffer.from(bytes))
  const isClosed = headers.get("stream-closed") === "true"
  if (Object.keys(data).length === 0 && !isClosed) return Effect.void
  const next = headers.get("stream-next-offset") ?? at
  const offset = at === "-1" ? startOffset : at === "now" ? next : at
  const told = {
    stream: decodeURIComponent(path.slice("/ds/".length)),
    ...{ offset, next_offset: next, ...data },
    ...(headers.get("stream-up-to-date") === "true" && { up_to_date: true }),
    ...(isClosed && { closed: true })
  }
  return put(`${JSON.stringify(told)}\n`)
}

export interface Reading {
  readonly path: string
  readonly offset: string
  /** Goes on when it has come to the end. */
  readonly follow: boolean
}

/** A long-poll of a node lasts at most so long. */
const pollMs = 620_000

export const read = Effect.fnUntraced(function* (to: Reached, { path, offset, follow }: Reading) {
  let at = offset
  let cursor = ""
  let live = ""
  for (;;) {
    const sending = { method: "GET", timeoutMs: pollMs }
    const response = yield* callAgain(to, `${path}?offset=${at}${live}${cursor}`, sending)
    const { headers } = response
    const isJson = isJsonType(headers.get("content-type") ?? "")
    const bytes = response.status === 200 ? yield* bytesOf(response) : new Uint8Array()
    if (to.json) yield* tell(path, at, response, bytes)
    else if (response.status === 200) yield* show(bytes, isJson)
    at = headers.get("stream-next-offset") ?? at
    if (headers.get("stream-closed") === "true") return
    if (headers.get("stream-up-to-date") !== "true") continue
    if (!follow) return
    live = "&live=long-poll"
    const next = headers.get("stream-cursor")
    cursor = next === null ? "" : `&cursor=${next}`
  }
})

export interface Appending {
  readonly path: string
  readonly type: string
  readonly data: string | undefined
  /** Each line of the input is an append, or a message, of its own. */
  readonly lines: boolean
  readonly ifMatch: string | undefined
  /** As a claim was answered with it. */
  readonly fence: string | undefined
}

/** A producer of its own for one run of the command: what has to be sent again is appended once. */
class Sender {
  private readonly id = `cli-${randomBytes(9).toString("base64url")}`
  private seq = 0
  private readonly to: Reached
  private readonly given: Appending

  constructor(to: Reached, given: Appending) {
    this.to = to
    this.given = given
  }

  send(body: Uint8Array<ArrayBuffer> | string) {
    const { path, type, ifMatch, fence } = this.given
    const headers = {
      "content-type": type,
      "producer-id": this.id,
      "producer-epoch": "0",
      "producer-seq": String(this.seq++),
      ...(ifMatch !== undefined && { "if-match": `"${ifMatch}"` }),
      ...(fence !== undefined && { "stream-fence": fence })
    }
    return Effect.map(
      callAgain(this.to, path, { method: "POST", headers, body }),
      (response) => response.headers.get("stream-next-offset") ?? ""
    )
  }
}

/** Gives the offset behind what was appended. */
export const append = Effect.fnUntraced(function* (to: Reached, given: Appending) {
  const sender = new Sender(to, given)
  if (given.data !== undefined) return yield* sender.send(given.data)
  let next = ""
  const gathered = new Gathered(given)
  for (;;) {
    const part = yield* nextInput
    const bodies = part === undefined ? gathered.rest() : gathered.take(part)
    for (const body of bodies) next = yield* sender.send(body)
    if (part === undefined) return next
  }
})

/** What has come in and is not sent yet: up to a line's end, or up to what one request takes. */
class Gathered {
  private held = Buffer.alloc(0)
  private readonly given: Appending

  constructor(given: Appending) {
    this.given = given
  }

  take(part: Buffer): Array<Uint8Array<ArrayBuffer> | string> {
    this.held = Buffer.concat([this.held, part])
    if (this.given.lines) {
      const end = this.held.lastIndexOf(10) + 1
      return end === 0 ? [] : this.lines(this.cut(end))
    }
    // A JSON text cannot be cut anywhere: it is sent as a whole when it has ended.
    if (isJsonType(this.given.type)) return []
    return this.held.length < chunkBytesMax ? [] : [this.cut(this.held.length)]
  }

  rest(): Array<Uint8Array<ArrayBuffer> | string> {
    if (this.held.length === 0) return []
    const all = this.cut(this.held.length)
    return this.given.lines ? this.lines(all) : [all]
  }

  private cut(end: number): Buffer<ArrayBuffer> {
    const taken = Buffer.from(this.held.subarray(0, end))
    this.held = Buffer.from(this.held.subarray(end))
    return taken
  }

  private lines(bytes: Buffer): Array<string> {
    const lines = bytes
      .toString()
      .split("\n")
      .filter((line) => line.trim() !== "")
    if (lines.length === 0) return []
    // Messages of one array are one append, and as many messages.
    return isJsonType(this.given.type) ? [`[${lines.join(",")}]`] : lines.map((line) => `${line}\n`)
  }
}

const input = process.stdin[Symbol.asyncIterator] === undefined ? undefined : () => process.stdin.iterator()
let opened: NodeJS.AsyncIterator<unknown> | undefined

const nextInput: Effect.Effect<Buffer | undefined, Problem> = Effect.tryPromise({
  try: async () => {
    opened ??= input?.()
    const { done, value } = (await opened?.next()) ?? { done: true, value: undefined }
    return done === true ? undefined : Buffer.from(value as Uint8Array)
  },
  catch: (cause) => new Problem({ code: "input", message: `the standard input cannot be read: ${String(cause)}` })
})

/** The stream's own type, so that nobody has to repeat it. */
export const typeOf = (to: Reached, path: string) =>
  Effect.map(call(to, path, { method: "HEAD" }, [200, 404, 410]), (response) =>
    response.ok ? (response.headers.get("content-type") ?? undefined) : undefined
  )
