/** Breaks the runtime in one place at a time, and shows that some world notices: `npm run mutants [-- NAME]`. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { actors } from "./mutants/actors.ts"
import { files } from "./mutants/files.ts"
import type { Mutant } from "./mutants/mutant.ts"
import { streams } from "./mutants/streams.ts"

type World = "actors" | "files" | "streams"

const mutants: ReadonlyArray<Mutant & { readonly world: World }> = Object.entries({ actors, files, streams }).flatMap(
  ([world, some]) => some.map((mutant) => ({ ...mutant, world: world as World }))
)

/** More than it takes to meet the rarest of the faults that a mutant needs. */
const worldsMax: Readonly<Record<World, number>> = { actors: 12_000, files: 2_000, streams: 6_000 }
const parts = ["messages", "actors", "runtime", "adapters", "test", "package.json", "tsconfig.json"]

const root = join(import.meta.dirname, "../..")

/** What is run in a copy of the sources, and how it tells what it noticed. */
const trialOf = ({
  world,
  test
}: (typeof mutants)[number]): { readonly args: ReadonlyArray<string>; readonly sign: string } => {
  if (test === undefined) {
    const how = ["--only", world, "--seeds", String(worldsMax[world]), "--json", "--first-failure"]
    return { args: ["test/sim/main.ts", ...how], sign: "seed " }
  }
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--config", "test/vitest.config.ts", "--reporter", "tap"]
  return { args: [...vitest, test], sign: "not ok" }
}

/** Runs worlds, or a test, on a copy of the sources in which one thing is wrong. */
const trial = (mutant: (typeof mutants)[number]): { readonly killed: boolean; readonly by: string } => {
  const folder = mkdtempSync(join(tmpdir(), "mutant-"))
  try {
    for (const part of parts) cpSync(join(root, part), join(folder, part), { recursive: true })
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    const path = join(folder, mutant.file)
    const source = readFileSync(path, "utf8")
    if (source.split(mutant.from).length !== 2)
      throw new Error(`mutant "${mutant.name}": its text does not stand exactly once in ${mutant.file}`)
    writeFileSync(
      path,
      source.replace(mutant.from, () => mutant.to)
    )
    const { args, sign } = trialOf(mutant)
    const { stdout, status } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8", maxBuffer: 1 << 28 })
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => line.trim())
    const by = lines.findLast((line) => line.startsWith(sign)) ?? lines.at(-1) ?? ""
    return { killed: status !== 0, by: by.slice(0, 160) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const main = (): number => {
  const wanted = process.argv[2]
  const chosen = mutants.filter(({ name }) => wanted === undefined || name.includes(wanted))
  let alive = 0
  for (const mutant of chosen) {
    const { killed, by } = trial(mutant)
    if (!killed) alive += 1
    process.stdout.write(`${killed ? "killed " : "SURVIVED"} ${mutant.name}: ${by}\n`)
  }
  process.stdout.write(
    `${JSON.stringify({ mutants: chosen.length, killed: chosen.length - alive, survived: alive })}\n`
  )
  return alive === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = main()
