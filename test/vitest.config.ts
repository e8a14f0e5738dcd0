/** Which tests there are, how long each sort may take, and what may run beside what. */
import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

const second = 1000

/**
 * Groups run one after another, from 1 on, so that what starts servers has the machine to itself. Group 0 would not do:
 * where there is one worker, vitest runs it behind all the others.
 */
const project = (
  name: string,
  include: string | ReadonlyArray<string>,
  testTimeout: number,
  groupOrder: number,
  maxWorkers: number,
  more: { readonly exclude?: Array<string>; readonly retry?: number; readonly setupFiles?: string } = {}
) => ({
  extends: true as const,
  test: {
    name,
    include: [include].flat(),
    testTimeout,
    hookTimeout: testTimeout,
    maxWorkers,
    sequence: { groupOrder },
    ...more
  }
})

/** What kills servers under load measures how long it takes until all is well again: nothing runs beside it. */
const alone = ["cluster", "crash", "crash.connect", "journal", "mount.kill", "powercut", "streams-crash"].map(
  (name) => `test/real/${name}.test.ts`
)
/** A machine that others use too may be slow for a moment: what takes too long then is tried again, and said. */
const retry = process.env["CI"] === "true" ? 1 : 0

const cores = availableParallelism()

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    pool: "forks",
    passWithNoTests: false,
    // What is waited for comes at once, or on a busy machine later than in the second that is the default.
    expect: { poll: { timeout: 8 * second } },
    projects: [
      project("tidy", "test/tidy.test.ts", 30 * second, 1, cores),
      project("unit", "test/unit/**/*.test.ts", 30 * second, 1, cores, { retry }),
      project("property", "test/property/**/*.test.ts", 60 * second, 1, cores, {
        setupFiles: "test/property/patience.ts"
      }),
      project("contract", "test/contract/**/*.test.ts", 60 * second, 1, cores, { retry }),
      project("sim", "test/sim/**/*.test.ts", 120 * second, 2, cores),
      project("real", "test/real/**/*.test.ts", 300 * second, 3, 2, { exclude: alone, retry }),
      project("alone", alone, 300 * second, 4, 1, { retry })
    ]
  }
})
