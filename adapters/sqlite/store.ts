/** The database file of a node's logs: what SQLite is asked, in plain calls that block for microseconds. */
import { closeSync, fdatasync, fdatasyncSync, fstatSync, fsyncSync, openSync, writeSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { claimOf } from "../../runtime/journal/frame.ts"
import { Corrupt, type Unavailable, Unavailable as UnavailableError } from "../../runtime/ports/journal.ts"
import { walBytesMax } from "./checkpoint.ts"

/** Says that the file is ours, in the header of the database. */
const applicationId = 0x4152544a
const format = 1

/** A shard and a frame's sequence share one integer, which makes the place of a frame the key of its row. */
const sequencesMax = 2 ** 40
const shardsMax = 2 ** 12

/** How long another process that reads or copies the file may hold its lock before we give up. */
const busyTimeoutMs = 5000

/** One page of a replay: enough to be quick, and little enough not to hold up the loop for milliseconds. */
const pageBytesMax = 1024 * 1024

/** Truncation deletes so much at a time, so that commits find a gap between two steps. */
const truncateFramesMax = 64
const truncateBytesMax = 1024 * 1024

export interface StoredFrame {
  readonly sequence: number
  readonly frame: Uint8Array
}
export interface Write {
  readonly shard: number
  readonly epoch: number
  readonly sequence: number
  readonly frames: ReadonlyArray<Uint8Array>
}

const schema = `
  CREATE TABLE IF NOT EXISTS logs (
    shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, owner TEXT NOT NULL, first INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS frames (place INTEGER PRIMARY KEY, frame BLOB NOT NULL) STRICT;
`

const corruptCodes = new Set([11, 26])

/** What SQLite or the disk said, as the port's error. */
export const failureOf = (log: string, error: unknown): Unavailable | Corrupt => {
  const why = error instanceof Error ? error.message : String(error)
  const code = typeof error === "object" && error !== null && "errcode" in error ? Number(error.errcode) & 0xff : 0
  if (corruptCodes.has(code)) return new Corrupt({ log, position: 0, why: `the file is damaged: ${why}` })
  return new UnavailableError({ log, why })
}

const numberIn = (row: Record<string, unknown> | undefined, column: string): number => Number(row?.[column] ?? 0)

export class Store {
  readonly file: string
  readonly #database: DatabaseSync
  readonly #wal: number
  readonly #epochOf: StatementSync
  readonly #insert: StatementSync
  readonly #page: StatementSync
  readonly #last: StatementSync
  readonly #sizes: StatementSync
  readonly #delete: StatementSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync

  constructor(file: string) {
    this.file = file
    this.#database = new DatabaseSync(file, { timeout: busyTimeoutMs })
    try {
      this.#prepareFile()
      this.#wal = openSync(`${file}-wal`, "r+")
      this.#fillWal()
      const directory = openSync(dirname(file), "r")
      fsyncSync(directory)
      closeSync(directory)
      this.#epochOf = this.#database.prepare("SELECT epoch FROM logs WHERE shard = ?")
      this.#insert = this.#database.prepare("INSERT INTO frames (place, frame) VALUES (?, ?)")
      this.#page = this.#database.prepare(
        "SELECT place, frame FROM frames WHERE place >= ? AND place < ? ORDER BY place"
      )
      this.#last = this.#database.prepare("SELECT max(place) AS place FROM frames WHERE place >= ? AND place < ?")
      this.#sizes = this.#database.prepare(
        "SELECT place, length(frame) AS bytes FROM frames WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
      )
      this.#delete = this.#database.prepare("DELETE FROM frames WHERE place >= ? AND place <= ?")
      this.#begin = this.#database.prepare("BEGIN IMMEDIATE")
      this.#commit = this.#database.prepare("COMMIT")
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  /** Commits reach the write-ahead log at once and the disk by `flush`: SQLite would stall the loop meanwhile. */
  #prepareFile(): void {
    const database = this.#database
    const id = numberIn(database.prepare("PRAGMA application_id").get(), "application_id")
    const tables = numberIn(database.prepare("SELECT count(*) AS tables FROM sqlite_master").get(), "tables")
    const written = numberIn(database.prepare("PRAGMA user_version").get(), "user_version")
    if (id !== applicationId && (id !== 0 || tables !== 0)) throw new Error("the file is another program's database")
    if (written > format) {
      throw new Error(`the file has format ${written}, written by a newer version; this one knows ${format}`)
    }
    database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL")
    // Written at every start, so that the write-ahead log is there to be opened and its directory entry to be flushed.
    database.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${format};
      COMMIT; PRAGMA synchronous = NORMAL`)
  }

  /** Behind the end of what SQLite wrote, where it does not look, and while nobody else can write. */
  #fillWal(): void {
    const zeros = Buffer.alloc(256 * 1024)
    this.#database.exec("BEGIN IMMEDIATE")
    let end = fstatSync(this.#wal).size
    while (end < walBytesMax) end += writeSync(this.#wal, zeros, 0, Math.min(zeros.byteLength, walBytesMax - end), end)
    fsyncSync(this.#wal)
    this.#database.exec("ROLLBACK")
  }

  #inTransaction<A>(run: () => A): A {
    this.#begin.run()
    try {
      const result = run()
      this.#commit.run()
      return result
    } catch (error) {
      // A full disk makes SQLite roll back by itself.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK")
      throw error
    }
  }

  epochOf(shard: number): number {
    return numberIn(this.#epochOf.get(shard), "epoch")
  }

  /** Where the log begins: what lies before was truncated. */
  firstOf(shard: number): number {
    return numberIn(this.#database.prepare("SELECT first FROM logs WHERE shard = ?").get(shard), "first")
  }

  lastOf(shard: number): number {
    const base = shard * sequencesMax
    const row = this.#last.get(base, base + sequencesMax)
    const place = numberIn(row, "place")
    return place === 0 ? 0 : place - base
  }

  /** Takes the log over: every write of an earlier epoch is refused from now on. */
  claim(shard: number, owner: string): { readonly epoch: number; readonly sequence: number } {
    if (!Number.isInteger(shard) || shard < 0 || shard >= shardsMax) throw new Error(`there is no shard ${shard}`)
    return this.#inTransaction(() => {
      const epoch = this.epochOf(shard) + 1
      const sequence = this.lastOf(shard) + 1
      this.#database
        .prepare(
          `INSERT INTO logs (shard, epoch, owner, first) VALUES (?, ?, ?, 1)
           ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner`
        )
        .run(shard, epoch, owner)
      this.#insert.run(shard * sequencesMax + sequence, claimOf(owner, epoch, sequence))
      return { epoch, sequence }
    })
  }

  /** All of the writes as one transaction; gives the indices of those whose claim is no longer the newest. */
  write(writes: ReadonlyArray<Write>): Set<number> {
    return this.#inTransaction(() => {
      const fenced = new Set<number>()
      const epochs = new Map<number, number>()
      writes.forEach((write, index) => {
        let epoch = epochs.get(write.shard)
        if (epoch === undefined) {
          epoch = this.epochOf(write.shard)
          epochs.set(write.shard, epoch)
        }
        if (epoch !== write.epoch) {
          fenced.add(index)
          return
        }
        let place = write.shard * sequencesMax + write.sequence
        for (const frame of write.frames) this.#insert.run(place++, frame)
      })
      return fenced
    })
  }

  /** The next frames from this sequence on and before that one, a page of them. */
  page(shard: number, from: number, before: number): Array<StoredFrame> {
    const base = shard * sequencesMax
    const frames: Array<StoredFrame> = []
    let bytes = 0
    for (const row of this.#page.iterate(base + from, base + Math.min(before, sequencesMax))) {
      const { frame } = row
      if (!(frame instanceof Uint8Array)) throw new Error("a frame is not stored as bytes")
      frames.push({ frame, sequence: numberIn(row, "place") - base })
      bytes += frame.byteLength
      if (bytes >= pageBytesMax) break
    }
    return frames
  }

  /** Says first that the log begins here, so that what is left undeleted after a crash is not read either. */
  beginAt(shard: number, sequence: number): void {
    this.#database.prepare("UPDATE logs SET first = max(first, ?) WHERE shard = ?").run(sequence, shard)
  }

  /** Deletes some frames before this sequence; false when there are none left. Later frames use their pages again. */
  deleteSome(shard: number, before: number): boolean {
    const base = shard * sequencesMax
    let bytes = 0
    let last = -1
    for (const row of this.#sizes.iterate(base, base + before, truncateFramesMax)) {
      last = numberIn(row, "place")
      bytes += numberIn(row, "bytes")
      if (bytes >= truncateBytesMax) break
    }
    if (last < 0) return false
    this.#delete.run(base, last)
    return true
  }

  /** Copies what it can from the write-ahead log into the file. */
  checkpoint(): void {
    this.#database.exec("PRAGMA wal_checkpoint(PASSIVE)")
  }

  /** Calls back when all that was committed before is on the disk. */
  flush(done: (error: Error | null) => void): void {
    fdatasync(this.#wal, done)
  }

  /** The same, while the caller waits. */
  flushSync(): void {
    fdatasyncSync(this.#wal)
  }

  close(): void {
    closeSync(this.#wal)
    this.#database.close()
  }
}
