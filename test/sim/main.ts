/** Runs many worlds: `npm run sim -- --seeds N [--seed S] [--json]`; the last line is one JSON object. */
import "effect/schema/SchemaJITCompiler/enable"
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { planOf } from "./plan.ts"
import { runWorld } from "./scenario.ts"

/** What has to have happened somewhere in a batch of worlds, or the batch has proved less than it says. */
const toReach = [
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
/** Fewer worlds than this need not have met everything. */
const batchMin = 300
/** One world in so many is run twice, and has to leave the same trace. */
const twiceEvery = 25

/** Seeds that failed once: they are run before any other, for ever. */
const kept = (): ReadonlyArray<number> => JSON.parse(readFileSync(new URL("./seeds.json", import.meta.url), "utf8"))

export interface Batch {
  readonly worlds: number
  readonly failures: ReadonlyArray<{ readonly seed: number; readonly violation: string }>
  readonly reached: ReadonlyMap<string, number>
  readonly entries: number
}

export const runBatch = (
  seeds: Iterable<number>,
  options: { readonly fence: boolean; readonly failuresMax: number; readonly progress?: (done: number) => void }
): Batch => {
  const failures: Array<{ seed: number; violation: string }> = []
  const reached = new Map<string, number>()
  let worlds = 0
  let entries = 0
  for (const seed of seeds) {
    const plan = planOf(seed, options.fence)
    const outcome = runWorld(plan)
    worlds += 1
    entries += outcome.entries
    for (const [what, times] of outcome.reached) reached.set(what, (reached.get(what) ?? 0) + times)
    const isSame = worlds % twiceEvery !== 0 || runWorld(plan).trace === outcome.trace
    const violation = outcome.violation ?? (isSame ? undefined : "the second run of the same seed left another trace")
    if (violation !== undefined) failures.push({ seed, violation })
    options.progress?.(worlds)
    if (failures.length >= options.failuresMax) break
  }
  return { worlds, failures, reached, entries }
}

export const unreached = (batch: Batch): ReadonlyArray<string> =>
  batch.worlds < batchMin ? [] : toReach.filter((what) => !batch.reached.has(what))

function* upFrom(first: number, count: number): Iterable<number> {
  for (let seed = first; seed < first + count; seed++) yield seed
}

const main = (): number => {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "300" },
      seed: { type: "string" },
      "no-fence": { type: "boolean", default: false },
      "first-failure": { type: "boolean", default: false },
      json: { type: "boolean", default: false }
    }
  })
  const count = Number(values.seeds)
  const first = Number(values.seed ?? 1)
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`--seeds has to be a positive number: ${values.seeds}`)
  if (!Number.isSafeInteger(first)) throw new Error(`--seed has to be a whole number: ${values.seed}`)
  const started = performance.now()
  const isShown = process.stderr.isTTY && !values.json
  const progress = (done: number): void => {
    if (isShown && done % 20 === 0) process.stderr.write(`\r${done} of ${count} worlds`)
  }
  const fence = !values["no-fence"]
  const before = values.seed === undefined && fence ? kept() : []
  const batch = runBatch([...before, ...upFrom(first, count)], {
    fence,
    failuresMax: fence && !values["first-failure"] ? 5 : 1,
    progress
  })
  if (isShown) process.stderr.write("\r\u001b[K")
  const seconds = (performance.now() - started) / 1000
  for (const { seed, violation } of batch.failures) {
    process.stdout.write(`seed ${seed}: ${violation}\nits plan: ${JSON.stringify(planOf(seed, fence))}\n`)
    process.stdout.write(`run it alone: npm run sim -- --seeds 1 --seed ${seed}${fence ? "" : " --no-fence"}\n`)
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
  process.stdout.write(`${JSON.stringify(line)}\n`)
  // Without the fence a world has to fail: then the checkers have seen what they are there for.
  return batch.failures.length > 0 === fence || missing.length > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = main()
