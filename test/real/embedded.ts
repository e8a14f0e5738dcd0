/** Kills a node on its own again and again while clients write, and looks for everything that they were promised. */
import { randomInt } from "node:crypto"
import { join } from "node:path"
import { Context, Effect, Layer, References, type Scope } from "effect"
import { layer as sqliteJournal } from "../../adapters/sqlite/journal.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { directory, freePorts, type ServerFailed } from "./child.ts"
import { type Load, load } from "./load.ts"
import { complaints, type NodeProcess, nodeProcess } from "./node.ts"
import { askedFor, readFor, type Verdict, verdictOf } from "./promises.ts"

export interface CrashOptions {
  readonly kills: number
  readonly durability: "sync" | "process"
}

export interface Crashed extends Verdict {
  /** From each kill to the next acknowledged write of the organisation that waited longest. */
  readonly gapsMs: ReadonlyArray<number>
  /** From each start of the process to the first acknowledged write. */
  readonly startsMs: ReadonlyArray<number>
  readonly stopMs: number
  readonly complaints: ReadonlyArray<string>
}

const shards = 16

/** How long a restarted node may take until all clients are answered again. */
const healMs = 15_000

const until = (condition: () => boolean, withinMs: number): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const end = performance.now() + withinMs
    while (!condition()) {
      if (performance.now() > end) return false
      yield* Effect.sleep(5)
    }
    return true
  })

/** One kill and the start after it; now and then the new process is killed too while it still comes up. */
const killed = Effect.fnUntraced(function* (node: NodeProcess, { promises }: Load, isDouble: boolean) {
  const at = performance.now()
  yield* node.kill
  if (isDouble) {
    yield* node.launch
    yield* Effect.sleep(randomInt(20, 700))
    yield* node.kill
  }
  const started = performance.now()
  yield* node.launch
  if (!(yield* until(() => promises.allSince(started), healMs)))
    throw new Error(`no write is answered ${healMs} ms after a restart:\n${node.log().slice(-2000)}`)
  const first = promises.firstAfter(started) ?? performance.now()
  return { gapMs: promises.gapMs(at, performance.now()), startMs: Math.round(first - started) }
})

const readBack = (data: string, made: Load) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(sqliteJournal({ file: join(data, "journal.sqlite") }))
    return yield* readFor(Context.get(context, Journal), made.orgs, made.promises)
  }).pipe(Effect.scoped, Effect.orDie)

export const crashed = (options: CrashOptions): Effect.Effect<Crashed, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const data = join(yield* directory("crash"), "data")
    const [port = 0] = yield* freePorts(1)
    const flags = ["--nats", `127.0.0.1:${port}`, "--durability", options.durability, "--shards", String(shards)]
    const node = yield* nodeProcess({ name: "alone", data, flags })
    yield* node.ready
    const creds = join(data, "admin.creds")
    const servers = [`nats://127.0.0.1:${port}`]
    const made = yield* Effect.orDie(load({ servers, creds, shards, clients: 4, organisations: 8, paceMs: 20 }))
    const gapsMs: Array<number> = []
    const startsMs: Array<number> = []
    for (let kill = 0; kill < options.kills; kill++) {
      yield* Effect.sleep(randomInt(100, 1_200))
      const { gapMs, startMs } = yield* killed(node, made, kill % 5 === 4)
      gapsMs.push(gapMs)
      startsMs.push(startMs)
    }
    yield* made.stop
    const asked = yield* Effect.orDie(askedFor(made.client, made.promises, [...made.orgs.keys()]))
    const stopping = performance.now()
    yield* node.stop
    const stopMs = Math.round(performance.now() - stopping)
    const verdict = verdictOf(made.promises, asked, yield* readBack(data, made))
    return { ...verdict, gapsMs, startsMs, stopMs, complaints: complaints(node.log()) }
    // That a connection comes and goes is what is asked for here, and nothing to tell.
  }).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))
