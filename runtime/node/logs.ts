/** The log of a node, on its standard error: lines for eyes on a terminal, JSON lines everywhere else. */
import { Cause, Logger, References } from "effect"

type Fields = Record<string, unknown>

interface Line {
  readonly message: string
  readonly fields: Fields
}

const plain = (value: unknown): unknown => {
  if (!(value instanceof Error)) return value
  // Errors of the ports have their tag and fields for this; of any other one the name and the message have to do.
  const own = Object.entries(value).filter(([name]) => name !== "cause" && name !== "stack" && name !== "name")
  const told = value.message === "" ? {} : { message: value.message }
  return { ...("_tag" in value ? {} : { name: value.name }), ...told, ...Object.fromEntries(own) }
}

/** Texts are the message; objects bring fields; errors stand under `error`. */
const lineOf = (said: unknown, cause: Cause.Cause<unknown>, annotations: Readonly<Fields>): Line => {
  const texts: Array<string> = []
  const fields: Fields = { ...annotations }
  for (const part of Array.isArray(said) ? said : [said]) {
    if (part instanceof Error) fields["error"] = plain(part)
    else if (typeof part === "object" && part !== null && !("_tag" in part)) Object.assign(fields, part)
    else if (typeof part === "object" && part !== null) fields["error"] = part
    else texts.push(String(part))
  }
  if (cause.reasons.length > 0) fields["cause"] = Cause.pretty(cause)
  return { message: texts.join(" "), fields }
}

/** A field that cannot be written down must not silence the line. */
const json = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? "null"
  } catch {
    return JSON.stringify(String(value))
  }
}

const colours: Readonly<Record<string, string>> = { Error: "31", Fatal: "31", Warn: "33", Debug: "2", Trace: "2" }

const forEyes = (date: Date, level: string, { message, fields }: Line): string => {
  const { cause, ...rest } = fields
  const told = Object.entries(rest).map(([name, value]) => `${name}=${typeof value === "string" ? value : json(value)}`)
  const text = `${date.toISOString().slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${[message, ...told].join(" ")}`
  const colour = colours[level]
  const shown = colour === undefined ? text : `\u001b[${colour}m${text}\u001b[0m`
  return typeof cause === "string" ? `${shown}\n${cause}` : shown
}

const forMachines = (date: Date, level: string, { message, fields }: Line): string =>
  json({ time: date.toISOString(), level: level.toLowerCase(), message, ...fields })

export const logger = (isPretty: boolean): Logger.Logger<unknown, void> => {
  const write = isPretty ? forEyes : forMachines
  return Logger.make(({ message, cause, date, fiber, logLevel }) => {
    const line = lineOf(message, cause, fiber.getRef(References.CurrentLogAnnotations))
    process.stderr.write(`${write(date, logLevel, line)}\n`)
  })
}
