/** Takes over what a process that ended had accepted: the stage says what it was, and how far it had come. */
import { Effect } from "effect"
import { chunkBytes } from "../../messages/chunks.ts"
import type { Meters } from "./data.ts"
import type { BegunRecord, BytesRecord, FailedRecord, SentRecord, SetRecord, StageRecord } from "./record.ts"
import { Run, Slice } from "./slice.ts"
import type { Stage } from "./staging.ts"
import type { Writer } from "./writer.ts"

interface Found {
  readonly begun: BegunRecord
  readonly bytes: Array<BytesRecord & { readonly segment: number }>
  sent: SentRecord | undefined
}

/** What lies on the stage and is not over: runs, and failures that nobody was told of. */
interface Left {
  readonly found: Map<number, Found>
  readonly failures: Map<number, FailedRecord>
  /** By file, the last one. */
  readonly set: Map<number, SetRecord>
}

const gather = ({ failures, found, set }: Left, segment: number, record: StageRecord): void => {
  switch (record.kind) {
    case "begun":
      found.set(record.run, { begun: record, bytes: [], sent: undefined })
      break
    case "bytes":
      found.get(record.run)?.bytes.push({ ...record, segment })
      break
    case "set":
      set.set(record.ino, record)
      break
    case "failed":
      failures.set(record.run, record)
      break
    case "over":
      for (const run of record.runs) {
        found.delete(run)
        failures.delete(run)
      }
      break
    case "sent":
      for (const run of record.runs) {
        const one = found.get(run)
        if (one !== undefined) one.sent = record
      }
      // It is in the command.
      if (record.runs.includes(set.get(record.ino)?.run ?? 0)) set.delete(record.ino)
  }
}

/** Lays the run into its file as far as it is there, and says whether all of it is. */
const adopt = (writer: Writer, { begun, bytes, sent }: Found, meters: Meters): boolean => {
  const file = writer.file(begun.ino)
  const ms = bytes.at(-1)?.ms ?? 0
  const slice = new Slice(file, Math.floor(begun.at / chunkBytes))
  const run = new Run(begun.run, slice, {
    at: begun.at,
    append: begun.append,
    who: begun.who,
    ms,
    time: [Math.floor(ms / 1000), (ms % 1000) * 1_000_000]
  })
  let isWhole = true
  for (const { at, length, off, segment } of bytes) {
    // What lies behind damage is of no use without what was there.
    isWhole &&= off <= slice.length
    if (isWhole) slice.adopt(off, length, { segment, at })
  }
  run.length = slice.length
  if (run.length === 0 && sent === undefined) return isWhole
  run.sent = sent
  file.runs.push(run)
  meters.dirtyBytes += run.length
  meters.recoveredBytes += run.length
  return isWhole
}

export interface Recovery {
  readonly writer: Writer
  readonly stage: Stage
  readonly meters: Meters
  readonly session: string
  /** The stage is of this same mount, in its session or in an earlier one. */
  readonly resumed: boolean
}

/** What a session that is over had not flushed is dropped, as a host that crashed drops what it had not written. */
const dropStale = (found: Map<number, Found>, session: string) => {
  let bytes = 0
  const inos = new Set<number>()
  for (const one of [...found.values()]) {
    if (one.begun.session === session) continue
    found.delete(one.begun.run)
    inos.add(one.begun.ino)
    for (const { length } of one.bytes) bytes += length
  }
  return { bytes, files: [...inos] }
}

const noteAppended = ({ appended }: Writer, { length, request }: BytesRecord): void => {
  if (request !== undefined) appended.set(request, (appended.get(request) ?? 0) + length)
}

/** What only this mount's own processes had to tell is told by this one; to another mount it means nothing. */
const inherit = (writer: Writer, { failures }: Left, stale: ReadonlyArray<number>): void => {
  for (const { errno, ino, run, why } of failures.values()) writer.file(ino).failed ??= { errno, why, run }
  for (const ino of stale) writer.fail(ino, "EIO", "the session that it was written in is over")
}

/** Of what was begun in a segment that is gone, the word of its sending or its end may be all that is left. */
const newestRun = (record: StageRecord): number =>
  "run" in record ? record.run : record.runs.reduce((newest, run) => Math.max(newest, run), 0)

/** Everything that was accepted is on its way again when this returns; what is damaged is said by the next flush. */
export const recover = Effect.fnUntraced(function* ({ meters, resumed, session, stage, writer }: Recovery) {
  const left: Left = { found: new Map(), failures: new Map(), set: new Map() }
  const { failures, found, set } = left
  let last = 0
  const damaged: ReadonlyArray<unknown> = yield* stage.recover(({ record, segment }) => {
    last = Math.max(last, newestRun(record))
    // What is committed already may have been asked for by a request that was not answered.
    if (resumed && record.kind === "bytes") noteAppended(writer, record)
    gather(left, segment, record)
  })
  writer.skipRuns(last)
  if (resumed && stage.isEmpty) {
    yield* Effect.logError("the stage is gone: what a process before this one had accepted is lost")
    writer.failures.suspect = { errno: "EIO", why: "the stage is gone, and with it what was accepted and not flushed" }
  }
  const stale = dropStale(found, session)
  if (stale.files.length > 0)
    yield* Effect.logWarning("writes that a session had not flushed when it ended are dropped", stale)
  if (resumed) inherit(writer, left, stale.files)
  else {
    meters.lostFiles += stale.files.length
    failures.clear()
  }
  const empty = [...found.values()].filter(({ bytes, sent }) => bytes.length === 0 && sent === undefined)
  for (const { begun } of empty) found.delete(begun.run)
  const live = [...found.values()].sort((a, b) => a.begun.run - b.begun.run)
  const lost = new Set<number>()
  for (const one of live) if (!adopt(writer, one, meters) || damaged.length > 0) lost.add(one.begun.ino)
  for (const { ino, run, set: traits } of set.values()) if (found.has(run)) writer.file(ino).set = { run, traits }
  for (const ino of lost) writer.fail(ino, "EIO", "the stage was damaged: bytes that were accepted may be lost")
  stage.forgetAllBut(new Set([...found.keys(), ...failures.keys()]), last)
  if (live.length > 0 || damaged.length > 0) {
    const about = { runs: live.length, bytes: meters.recoveredBytes, damaged: damaged.length }
    yield* Effect.logInfo("writes of a process that ended are taken over", about)
  }
  stage.mark()
  for (const file of writer.files.values()) writer.resume(file)
})
