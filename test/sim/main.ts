/**
 * Runs many worlds: `npm run sim -- --seeds N [--seed S] [--only actors|files|streams] [--json]`; the last line is one
 * JSON object.
 */
import "effect/schema/SchemaJITCompiler/enable"
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { runFiles } from "./files.ts"
import { filesPlanOf } from "./files-plan.ts"
import { planOf } from "./plan.ts"
import { runWorld } from "./scenario.ts"
import { streamOutcome, streamPlanOf } from "./streams.ts"

interface Outcome {
  readonly violation: string | undefined
  readonly reached: ReadonlyMap<string, number>
  readonly trace: string
  readonly entries: number
}

interface Scenario {
  readonly name: string
  /** Of so many seeds one has a world of this sort: those of files take longer. */
  readonly oneOf: number
  readonly planOf: (seed: number, fence: boolean) => object
  readonly run: (seed: number, fence: boolean) => Outcome
  /** What has to have happened somewhere in a batch of worlds, or the batch has proved less than it says. */
  readonly toReach: ReadonlyArray<string>
  /** Fewer worlds than this need not have met everything. */
  readonly batchMin: number
}

const actors: Scenario = {
  name: "actors",
  oneOf: 1,
  planOf,
  run: (seed, fence) => runWorld(planOf(seed, fence)),
  batchMin: 300,
  toReach: [
    "answered ok",
    "answered refused",
    "unanswered",
    "answered from the window",
    "bus lost",
    "bus duplicated",
    "claimed",
    "cut from bus",
    "cut from journal",
    "cut from objects",
    "cut from registry",
    "failed Defect",
    "fenced",
    "journal lost",
    "journal lostAck",
    "killed",
    "objects lost",
    "objects lostAck",
    "obligation met",
    "registry lost",
    "registry lostAck",
    "repeated",
    "snapshots wiped",
    "state taken",
    "taken over",
    "timer fired",
    "truncated"
  ]
}

const files: Scenario = {
  name: "files",
  oneOf: 5,
  planOf: filesPlanOf,
  run: (seed, fence) => runFiles(filesPlanOf(seed, fence)),
  batchMin: 60,
  toReach: [
    "block damaged",
    "bus lost",
    "cut from bus",
    "event Copied",
    "event Fallocated",
    "event LockCancelled",
    "event LockQueued",
    "event Reaped",
    "event Renamed",
    "event SessionEnded",
    "event Truncated",
    "flush EIO",
    "flush ENOSPC",
    "host fell",
    "journal lostAck",
    "killed",
    "limited",
    "lock not had",
    "objects lostAck",
    "read without a name",
    "recovered from the stage",
    "request resent",
    "seen elsewhere",
    "session over",
    "sidecar killed",
    "stage torn",
    "truncated"
  ]
}

const streams: Scenario = {
  name: "streams",
  oneOf: 10,
  planOf: streamPlanOf,
  run: (seed, fence) => streamOutcome(streamPlanOf(seed, fence)),
  batchMin: 40,
  toReach: ["bus lost", "deleted", "journal lostAck", "killed", "merged", "objects lost", "sealed"]
}

export const scenarios = { actors, files, streams }

/** One world in so many is run twice, and has to leave the same trace. */
const twiceEvery = 25

/** Seeds that failed once: they are run before any other, for ever. */
const kept = (name: string): ReadonlyArray<number> =>
  JSON.parse(readFileSync(new URL("./seeds.json", import.meta.url), "utf8"))[name]

export interface Batch {
  readonly scenario: Scenario
  readonly worlds: number
  readonly failures: ReadonlyArray<{ readonly seed: number; readonly violation: string }>
  readonly reached: ReadonlyMap<string, number>
  readonly entries: number
}

export const runBatch = (
  scenario: Scenario,
  seeds: Iterable<number>,
  options: { readonly fence: boolean; readonly failuresMax: number; readonly progress?: (done: number) => void }
): Batch => {
  const failures: Array<{ seed: number; violation: string }> = []
  const reached = new Map<string, number>()
  let worlds = 0
  let entries = 0
  for (const seed of seeds) {
    const outcome = scenario.run(seed, options.fence)
    worlds += 1
    entries += outcome.entries
    for (const [what, times] of outcome.reached) reached.set(what, (reached.get(what) ?? 0) + times)
    const isSame = worlds % twiceEvery !== 0 || scenario.run(seed, options.fence).trace === outcome.trace
    const violation = outcome.violation ?? (isSame ? undefined : "the second run of the same seed left another trace")
    if (violation !== undefined) failures.push({ seed, violation })
    options.progress?.(worlds)
    if (failures.length >= options.failuresMax) break
  }
  return { scenario, worlds, failures, reached, entries }
}

export const unreached = ({ scenario, worlds, reached }: Batch): ReadonlyArray<string> =>
  worlds < scenario.batchMin ? [] : scenario.toReach.filter((what) => !reached.has(what))

function* upFrom(first: number, count: number): Iterable<number> {
  for (let seed = first; seed < first + count; seed++) yield seed
}

interface Asked {
  readonly first: number
  readonly count: number
  readonly fence: boolean
  readonly isFirst: boolean
  readonly failuresMax: number
  readonly isShown: boolean
}

/** All worlds of one sort; says what failed, and gives what there is to say of the whole. */
const runAll = (scenario: Scenario, asked: Asked) => {
  const { fence, first, isShown } = asked
  const count = Math.ceil(asked.count / scenario.oneOf)
  const started = performance.now()
  const progress = (done: number): void => {
    if (isShown && done % 20 === 0) process.stderr.write(`\r${done} of ${count} worlds of ${scenario.name}`)
  }
  const before = asked.isFirst && fence ? kept(scenario.name) : []
  const { failuresMax } = asked
  const batch = runBatch(scenario, [...before, ...upFrom(first, count)], { fence, failuresMax, progress })
  if (isShown) process.stderr.write("\r\u001b[K")
  const seconds = (performance.now() - started) / 1000
  for (const { seed, violation } of batch.failures) {
    const alone = `npm run sim -- --only ${scenario.name} --seeds 1 --seed ${seed}${fence ? "" : " --no-fence"}`
    process.stdout.write(`seed ${seed}: ${violation}\nits plan: ${JSON.stringify(scenario.planOf(seed, fence))}\n`)
    process.stdout.write(`run it alone: ${alone}\n`)
  }
  const missing = fence ? unreached(batch) : []
  const line = {
    worlds: batch.worlds,
    failed: batch.failures.length,
    unreached: missing,
    fence,
    seconds: Number(seconds.toFixed(1)),
    worldsPerSecond: Number((batch.worlds / seconds).toFixed(1)),
    entries: batch.entries,
    reached: Object.fromEntries([...batch.reached].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
  // Without the fence a world has to fail: then the checkers have seen what they are there for.
  return { line, isBad: batch.failures.length > 0 === fence || missing.length > 0 }
}

const main = (): number => {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "300" },
      seed: { type: "string" },
      only: { type: "string" },
      "no-fence": { type: "boolean", default: false },
      "first-failure": { type: "boolean", default: false },
      json: { type: "boolean", default: false }
    }
  })
  const count = Number(values.seeds)
  const first = Number(values.seed ?? 1)
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`--seeds has to be a positive number: ${values.seeds}`)
  if (!Number.isSafeInteger(first)) throw new Error(`--seed has to be a whole number: ${values.seed}`)
  const all: ReadonlyArray<Scenario> = Object.values(scenarios)
  const chosen = values.only === undefined ? all : all.filter(({ name }) => name === values.only)
  if (chosen.length === 0) throw new Error(`--only takes one of ${Object.keys(scenarios).join(", ")}: ${values.only}`)
  const fence = !values["no-fence"]
  const asked: Asked = {
    ...{ first, count, fence, isFirst: values.seed === undefined },
    failuresMax: fence && !values["first-failure"] ? 5 : 1,
    isShown: process.stderr.isTTY && !values.json
  }
  const told = chosen.map((scenario) => [scenario.name, runAll(scenario, asked)] as const)
  const lines = Object.fromEntries(told.map(([name, { line }]) => [name, line]))
  process.stdout.write(`${JSON.stringify(lines)}\n`)
  return told.some(([, { isBad }]) => isBad) ? 1 : 0
}

if (import.meta.main) process.exitCode = main()
