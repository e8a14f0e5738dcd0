/** What commands write to the standard output: aligned tables for people, JSON for machines. */
import { Effect } from "effect"

export const write = (text: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    process.stdout.write(`${text}\n`, () => resume(Effect.void))
  })

/** Control characters of a name could move the cursor of whoever looks at it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that terminals obey.
const control = /[\x00-\x1f\x7f-\x9f]/g
export const printable = (text: string): string => text.replace(control, "?")

/** Columns as wide as their widest cell; the last one has no trailing blanks. */
export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const lines = [heads, ...rows].map((row) => row.map(printable))
  const widths = heads.map((_, column) => Math.max(...lines.map((row) => row[column]?.length ?? 0)))
  return lines
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

/** One thing, a line for each of its fields. */
export const card = (fields: ReadonlyArray<readonly [string, string]>): string => {
  const width = Math.max(...fields.map(([name]) => name.length))
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join("\n")
}

export const when = (millis: number): string => `${new Date(millis).toISOString().slice(0, 19).replace("T", " ")}Z`

export const asJson = (value: unknown): string => JSON.stringify(value, null, 2)
