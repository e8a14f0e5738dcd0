/** A request as a line of `.accesslog`: when, by whom, what, what came of it, and how many seconds it took. */
import type { Request } from "../ports/mount.ts"

const two = (value: number): string => String(value).padStart(2, "0")

const dayMs = 86_400_000
/** The days from March of the year 0 to 1970. A year that begins in March ends with its leap day. */
const daysBefore1970 = 719_468
const daysOf400Years = 146_097

/** The day of the calendar: year, month and day. */
const calendar = (days: number): readonly [number, number, number] => {
  const since = days + daysBefore1970
  const era = Math.floor(since / daysOf400Years)
  const day = since - era * daysOf400Years
  const year = Math.floor((day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365)
  const dayOfYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  const isNext = month >= 10
  return [
    year + era * 400 + (isNext ? 1 : 0),
    isNext ? month - 9 : month + 3,
    dayOfYear - Math.floor((153 * month + 2) / 5) + 1
  ]
}

/** As people read it, in UTC and to the microsecond. */
export const stamp = (ms: number): string => {
  const [year, month, day] = calendar(Math.floor(ms / dayMs))
  const s = Math.floor((ms % dayMs) / 1000)
  const micros = String(Math.floor((ms % 1000) * 1000)).padStart(6, "0")
  const clock = `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
  return `${year}.${two(month)}.${two(day)} ${clock}.${micros}`
}

type Told = Readonly<Record<string, unknown>>

/** What is worth a word of what a request asks, in the order in which it is said. */
const asked = ["name", "source", "toNode", "toName", "target", "mode", "offset", "size", "length", "type", "flags"]

const word = (name: string, value: unknown): string => {
  if (name === "mode") return `0${(value as number).toString(8)}`
  if (name === "flags") return `0x${(value as number).toString(16)}`
  return typeof value === "string" ? JSON.stringify(value) : String(value)
}

const argumentsOf = (request: Request): string => {
  const told = request as unknown as Told
  const data = told["data"] as Uint8Array | undefined
  const words = asked.filter((name) => told[name] !== undefined).map((name) => word(name, told[name]))
  return [request.node, ...words, ...(data === undefined ? [] : [data.length])].join(",")
}

/** Of an answer: the inode that was found or made, or how many bytes there are. */
const detail = (answer: unknown): string => {
  if (typeof answer === "number") return ` (${answer})`
  if (answer instanceof Uint8Array) return ` (${answer.length})`
  if (Array.isArray(answer) && answer[0] instanceof Uint8Array)
    return ` (${answer.reduce((sum, piece: Uint8Array) => sum + piece.length, 0)})`
  if (typeof answer !== "object" || answer === null) return ""
  const entry = ("entry" in answer ? answer.entry : answer) as { readonly stat?: { readonly ino: number } }
  return entry.stat === undefined ? "" : ` (${entry.stat.ino})`
}

/** `answer` is what the file system said, `failure` why it did not. A name that is not there is an answer too. */
export const accessLine = (
  request: Request,
  { answer, failure }: { readonly answer?: unknown; readonly failure?: string | undefined },
  [since, until]: readonly [number, number]
): string => {
  const { op, uid, gid, pid } = request
  const isMissing = op === "lookup" && (answer as Told | undefined)?.["stat"] === undefined
  const outcome = failure ?? (isMissing ? "ENOENT" : `OK${detail(answer)}`)
  const seconds = (Math.max(0, until - since) / 1000).toFixed(6)
  return `${stamp(since)} [uid:${uid},gid:${gid},pid:${pid}] ${op} (${argumentsOf(request)}): ${outcome} <${seconds}>`
}
