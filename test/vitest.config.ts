/** Which tests there are, how long each sort may take, and what may run beside what. */
import { defineConfig } from "vitest/config"

const second = 1000

/** Groups run one after another: what measures or starts servers has the machine to itself. */
const project = (name: string, include: string, testTimeout: number, groupOrder: number, fileParallelism = true) => ({
  extends: true as const,
  test: { name, include: [include], testTimeout, hookTimeout: testTimeout, fileParallelism, sequence: { groupOrder } }
})

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    pool: "forks",
    passWithNoTests: false,
    projects: [
      project("tidy", "test/tidy.test.ts", 10 * second, 0),
      project("unit", "test/unit/**/*.test.ts", 10 * second, 0),
      project("property", "test/property/**/*.test.ts", 60 * second, 0),
      project("contract", "test/contract/**/*.test.ts", 60 * second, 0),
      project("sim", "test/sim/**/*.test.ts", 120 * second, 1),
      project("real", "test/real/**/*.test.ts", 300 * second, 2, false)
    ]
  }
})
