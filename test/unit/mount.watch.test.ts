/** What a mount counts and tells of the requests that it answers, at once and later. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { accessLine, stamp } from "../../runtime/mount/accessline.ts"
import { Metering, metered } from "../../runtime/mount/metering.ts"
import { Own } from "../../runtime/mount/own.ts"
import type { FromReplica } from "../../runtime/mount/telling.ts"
import { virtualIno } from "../../runtime/mount/virtual.ts"
import { watched } from "../../runtime/mount/watch.ts"
import type { Request, SyncFiles } from "../../runtime/ports/mount.ts"

const who = { uid: 5, gid: 6, pid: 7, id: 1, resent: false } as const
const lookup = (name: string): Request<"lookup"> => ({ op: "lookup", ...who, node: 1, name })
const out = new Uint8Array(0)

describe("a line of the access log", () => {
  it("begins with the time, in UTC and to the microsecond", () => {
    for (const [text, expected] of [
      ["1970-01-01T00:00:00.000Z", "1970.01.01 00:00:00.000000"],
      ["2000-02-29T23:59:59.999Z", "2000.02.29 23:59:59.999000"],
      ["2023-12-31T01:02:03.004Z", "2023.12.31 01:02:03.004000"],
      ["2100-03-01T00:00:00.000Z", "2100.03.01 00:00:00.000000"]
    ] as const)
      expect(stamp(Date.parse(text))).toBe(expected)
    for (let day = 0; day < 60_000; day += 37) {
      const iso = new Date(day * 86_400_000).toISOString().slice(0, 10)
      expect(stamp(day * 86_400_000).slice(0, 10)).toBe(iso.replaceAll("-", "."))
    }
    expect(stamp(1_795_164_968_684.5)).toContain(".684500")
  })

  it("says who asked what, what came of it, and how long it took", () => {
    const span = [0, 1.5] as const
    expect(accessLine(lookup('a"b'), { failure: "EIO" }, span)).toBe(
      '1970.01.01 00:00:00.000000 [uid:5,gid:6,pid:7] lookup (1,"a\\"b"): EIO <0.001500>'
    )
    const found = { stat: { ino: 9 }, entryMs: 0, attrMs: 0 }
    expect(accessLine(lookup("a"), { answer: found }, span)).toContain(": OK (9) <")
    expect(accessLine(lookup("a"), { answer: { ...found, stat: undefined } }, span)).toContain(": ENOENT <")
    const write: Request<"write"> = {
      ...{ op: "write", ...who, node: 4, handle: 1, offset: 10, data: new Uint8Array(3), flags: 1 },
      ...{ delayed: false, clearSetId: false }
    }
    expect(accessLine(write, { answer: 3 }, span)).toContain("write (4,10,0x1,3): OK (3) <")
    const create: Request<"create"> = { op: "create", ...who, node: 1, name: "x", mode: 0o644, flags: 0 }
    expect(accessLine(create, { answer: { entry: found, opened: {} } }, span)).toContain('(1,"x",0644,0x0): OK (9)')
  })
})

describe("the thread that answers at once", () => {
  const files: SyncFiles = {
    lookup: ({ name }) => (name === "late" ? { later: {} } : "ENOENT"),
    read: () => ({ later: { own: true } })
  }
  const watching = () => {
    const told: Array<FromReplica> = []
    let now = 1000
    const nowMs = () => ++now
    return { told, files: watched(files, { nowMs, tell: (message) => void told.push(message as FromReplica) }) }
  }

  it("tells of requests while somebody listens, and leaves those of others to them", () => {
    const { files: all, told } = watching()
    all.lookup?.(lookup("a"), out)
    all.heard?.({ kind: "listening", isOn: true })
    all.lookup?.(lookup("b"), out)
    expect(all.lookup?.(lookup("late"), out)).toEqual({ later: {} })
    all.heard?.({ kind: "listening", isOn: false })
    all.lookup?.(lookup("c"), out)
    expect(told.map((message) => ("line" in message ? message.line : message.kind))).toEqual([
      '1970.01.01 00:00:01.001000 [uid:5,gid:6,pid:7] lookup (1,"b"): ENOENT <0.001000>'
    ])
  })

  it("counts them, and says so before the counters are read", () => {
    const { files: all, told } = watching()
    for (let times = 0; times < 3; times++) all.lookup?.(lookup("a"), out)
    const stats = virtualIno(1, ".stats")
    all.read?.({ op: "read", ...who, node: stats, handle: 1, offset: 0, size: 1, flags: 0 }, out)
    expect(told).toEqual([{ kind: "answered", counts: { lookup: 3, read: 0 } }])
  })
})

describe("the thread that answers later", () => {
  it("measures what it answers, and tells of it while somebody listens", async () => {
    const metering = new Metering()
    let isOn = false
    const settled = Effect.void
    const own = new Own({ stats: () => "", config: () => "", listening: (on) => (isOn = on), settled })
    let now = 0
    const files = metered(
      { mkdir: () => Effect.fail("EDQUOT"), fsync: () => Effect.succeed(undefined) },
      { metering, own, nowMs: () => now++ }
    )
    const mkdir: Request<"mkdir"> = { op: "mkdir", ...who, node: 1, name: "d", mode: 0o755 }
    await Effect.runPromise(Effect.flip(files.mkdir?.(mkdir, {}) ?? Effect.fail("none")))
    const accesslog = virtualIno(1, ".accesslog")
    await Effect.runPromise(own.read(accesslog, 3, { offset: 0, length: 100 }))
    expect(isOn).toBe(true)
    await Effect.runPromise(Effect.flip(files.mkdir?.(mkdir, {}) ?? Effect.fail("none")))
    const line = Buffer.from(await Effect.runPromise(own.read(accesslog, 3, { offset: 0, length: 1000 })))
    expect(line.toString()).toBe(
      '1970.01.01 00:00:00.002000 [uid:5,gid:6,pid:7] mkdir (1,"d",0755): EDQUOT <0.001000>\n'
    )
    files.heard?.({ kind: "answered", counts: { lookup: 5, mkdir: 2, rmdir: 0 } })
    expect(metering.told).toEqual({
      ...{ ops: 7, ops_lookup: 5, ops_mkdir: 2, ops_mkdir_late: 2, ops_mkdir_late_failed: 2 },
      ...{ ops_mkdir_late_us_mean: 1000, ops_mkdir_late_us_p50: 1000 },
      ...{ ops_mkdir_late_us_p99: 1000, ops_mkdir_late_us_max: 1000 }
    })
  })
})
