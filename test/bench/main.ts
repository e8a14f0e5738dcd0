/** Runs one benchmark by its name: `npm run bench -- NAME [--json]`. */
import { readdirSync } from "node:fs"

interface Bench {
  readonly main: (args: ReadonlyArray<string>) => Promise<void> | void
}

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts")
  .map((file) => file.slice(0, -".ts".length))
  .filter((name) => /^[a-z0-9-]+$/.test(name))

const [name, ...args] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  const asked = name === undefined ? "" : `there is no benchmark ${JSON.stringify(name)}\n`
  const known = names.length === 0 ? "there is none yet" : names.join(", ")
  process.stderr.write(`${asked}usage: npm run bench -- NAME [--json]\nnames: ${known}\n`)
  process.exitCode = 2
} else {
  const bench = (await import(`./${name}.ts`)) as Partial<Bench>
  if (bench.main === undefined) throw new Error(`test/bench/${name}.ts exports no main(args)`)
  await bench.main(args)
}
