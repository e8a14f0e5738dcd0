/** CPU and speed of puts and gets: our signed requests, the SDK's client, and a directory, against one idle sink. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { Effect, Exit, Layer, Scope } from "effect"
import { layer as disk } from "../../adapters/disk/objects.ts"
import { layer as s3 } from "../../adapters/s3/objects.ts"
import { Objects } from "../../runtime/ports/objects.ts"

const rounds = 3
const inFlight = 8
const small = 4 * 1024
const large = 4 * 1024 * 1024
const credentials = { accessKeyId: "bench", secretAccessKey: "bench-secret" }

/** A store of one object of each size, which swallows what is put: in a process of its own, so its CPU is not ours. */
const sink = (): void => {
  const bodies = new Map([small, large].map((size) => [String(size), Buffer.alloc(size, 7)]))
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      const body = bodies.get((request.url ?? "").split("/")[2] ?? "") ?? Buffer.alloc(0)
      response.writeHead(200, { etag: '"one"', "content-length": body.length })
      response.end(body)
      return
    }
    request.on("end", () => response.writeHead(200, { etag: '"one"', "content-length": 0 }).end()).resume()
  })
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    console.log(typeof address === "object" && address !== null ? address.port : 0)
  })
}

const startSink = async (): Promise<{ readonly child: ChildProcess; readonly endpoint: string }> => {
  const child = spawn(process.execPath, [import.meta.filename, "sink"], { stdio: ["ignore", "pipe", "inherit"] })
  const [port] = await once(createInterface({ input: child.stdout }), "line")
  return { child, endpoint: `http://127.0.0.1:${port}` }
}

interface Client {
  readonly put: (key: string, bytes: Uint8Array) => Promise<unknown>
  readonly get: (key: string) => Promise<{ readonly length: number }>
}

const through = async (made: Layer.Layer<Objects, unknown>, scope: Scope.Scope): Promise<Client> => {
  const context = await Effect.runPromise(Layer.buildWithScope(made, scope))
  const store = await Effect.runPromise(
    Effect.provide(
      Effect.map(Objects, (one) => one),
      context
    )
  )
  return {
    put: (key, bytes) => Effect.runPromise(store.put(key, bytes)),
    get: (key) => Effect.runPromise(store.get(key))
  }
}

const sdk = (endpoint: string): Client => {
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials })
  return {
    put: (Key, Body) => client.send(new PutObjectCommand({ Bucket: "bucket", Key, Body })),
    get: async (Key) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: "bucket", Key }))
      return (await Body?.transformToByteArray()) ?? new Uint8Array(0)
    }
  }
}

interface Measured {
  readonly cpuUs: number
  readonly perSecond: number
}

const measure = async (count: number, run: (at: number) => Promise<unknown>): Promise<Measured> => {
  const lines = async (to: number): Promise<void> => {
    let next = 0
    const line = async () => {
      while (next < to) await run(next++)
    }
    await Promise.all(Array.from({ length: inFlight }, line))
  }
  await lines(Math.ceil(count / 5))
  const before = process.cpuUsage()
  const started = performance.now()
  await lines(count)
  const seconds = (performance.now() - started) / 1000
  const { system, user } = process.cpuUsage(before)
  return { cpuUs: (system + user) / count, perSecond: count / seconds }
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

interface Work {
  readonly name: string
  readonly size: number
  readonly count: number
  readonly run: (client: Client, at: number) => Promise<unknown>
}

const works = (): ReadonlyArray<Work> =>
  [small, large].flatMap((size) => {
    const bytes = Buffer.alloc(size, 3)
    const name = size === small ? "4 KiB" : "4 MiB"
    const count = size === small ? 1000 : 40
    let serial = 0
    const read = async (client: Client, at: number): Promise<void> => {
      const { length } = await client.get(`${size}/${at}`)
      if (length !== size) throw new Error(`got ${length} of ${size} bytes`)
    }
    return [
      // Blocks are put once, so every put has a key of its own; the first of them are what is read.
      { name: `put ${name}`, size, count, run: (client) => client.put(`${size}/${serial++}`, bytes) },
      { name: `get ${name}`, size, count, run: read }
    ]
  })

const rounded = (value: number): number => Math.round(value * 100) / 100

/** One line of JSON: the CPU of an operation in this process; a ratio above one says how many times less ours takes. */
const compare = async (work: Work, variant: string, ours: Client, theirs: Client): Promise<void> => {
  const own: Array<Measured> = []
  const other: Array<Measured> = []
  for (let round = 0; round < rounds; round++) {
    own.push(await measure(work.count, (at) => work.run(ours, at)))
    other.push(await measure(work.count, (at) => work.run(theirs, at)))
  }
  const of = (all: ReadonlyArray<Measured>, field: keyof Measured) => median(all.map((one) => one[field]))
  const rate = (all: ReadonlyArray<Measured>) =>
    work.size === small
      ? { perSecond: Math.round(of(all, "perSecond")) }
      : { mbPerSecond: Math.round((of(all, "perSecond") * work.size) / 1e6) }
  const line = {
    bench: `objects ${work.name}, ${variant}`,
    unit: "CPU us per operation",
    ours: rounded(of(own, "cpuUs")),
    baseline: "AWS SDK v3 client",
    theirs: rounded(of(other, "cpuUs")),
    ratio: rounded(of(other, "cpuUs") / of(own, "cpuUs")),
    ourRate: rate(own),
    theirRate: rate(other)
  }
  console.log(JSON.stringify(line))
}

export const main = async (): Promise<void> => {
  const { child, endpoint } = await startSink()
  const directory = mkdtempSync(join(tmpdir(), "artifacts-bench-"))
  const scope = Scope.makeUnsafe()
  const url = `s3://bucket?endpoint=${encodeURIComponent(endpoint)}`
  try {
    const variants: ReadonlyArray<readonly [string, Client]> = [
      ["s3 unsigned body + CRC32", await through(s3(`${url}&signPayload=false`, { credentials }), scope)],
      ["s3 signed body + CRC32", await through(s3(`${url}&signPayload=true`, { credentials }), scope)],
      ["directory, synced", await through(disk(directory), scope)]
    ]
    const theirs = sdk(endpoint)
    for (const [variant, client] of variants) {
      for (const work of works()) await compare(work, variant, client, theirs)
    }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    child.kill("SIGTERM")
    rmSync(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  if (process.argv[2] === "sink") sink()
  else await main()
}
