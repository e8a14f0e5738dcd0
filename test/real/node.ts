/** A node of the product as a process: `artifacts up` with a data directory, ports and a log of its own. */
import { dirname, join } from "node:path"
import { Effect, type Scope } from "effect"
import { answers, type Child, freePorts, launched } from "./child.ts"

export const launcher = join(dirname(dirname(import.meta.dirname)), "artifacts")

export interface NodeOptions {
  readonly name: string
  readonly data: string
  /** More flags of `up`. */
  readonly flags: ReadonlyArray<string>
}

export interface NodeProcess extends Child {
  readonly url: string
  /** The shards that it says it serves. */
  readonly held: Effect.Effect<ReadonlyArray<number>>
}

interface Told {
  readonly shards?: { readonly held: ReadonlyArray<{ readonly shard: number }> }
}

const heldBy = async (url: string): Promise<ReadonlyArray<number>> => {
  try {
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1_000) })
    return ((await answer.json()) as Told).shards?.held.map(({ shard }) => shard) ?? []
  } catch {
    return []
  }
}

/** Launched, not waited for. The scope's end stops it. */
export const nodeProcess = (options: NodeOptions): Effect.Effect<NodeProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { name, data, flags } = options
    const [port = 0] = yield* freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const child = yield* launched({
      name: `node ${name}`,
      command: launcher,
      args: ["up", "--data", data, "--node", name, "--http", `127.0.0.1:${port}`, ...flags],
      log: `${data}.log`,
      ready: () => answers(`${url}/healthz`)
    })
    return { ...child, url, held: Effect.promise(() => heldBy(url)) } satisfies NodeProcess
  })

/** Lines of a node's log that nobody should find there, whatever happened to it. */
export const complaints = (log: string): ReadonlyArray<string> =>
  log.split("\n").filter((line) => /"level":"(error|fatal)"|cut short|Unhandled|uncaught| {4}at .*\.ts:/i.test(line))
