/** Events as they were once written, kept for ever: every one of them must go on decoding to what it said. */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import type { AnyProtocol } from "../../actors/decider.ts"
import { outboxKind } from "../../runtime/actor/outbox.ts"

const messages = join(import.meta.dirname, "../../messages")
const golden = join(import.meta.dirname, "../golden")

/** `Event.v2.json`, or `Event.v2-variant.json` where one version was written in several forms. */
const fileName = /^([A-Z][A-Za-z]*)\.v([1-9]\d*)(?:-[a-z0-9-]+)?\.json$/

const isProtocol = (value: unknown): value is AnyProtocol =>
  typeof value === "object" && value !== null && "kind" in value && "commands" in value && "event" in value

/** Whatever messages/ exports that has the shape of a protocol, so that a new kind cannot be forgotten here. */
const protocols: ReadonlyArray<AnyProtocol> = (
  await Promise.all(readdirSync(messages).map((file) => import(join(messages, file)) as Promise<object>))
).flatMap((module) => Object.values(module).filter(isProtocol))

const tagsOf = (protocol: AnyProtocol): ReadonlyArray<string> => {
  const event: object = protocol.event
  if (!("cases" in event) || typeof event.cases !== "object" || event.cases === null)
    throw new Error(`the events of ${protocol.kind} are no Schema.TaggedUnion`)
  return Object.keys(event.cases)
}

/** A kind whose events are kept: how replay reads a list of them, which there are, and how they are written. */
interface Written {
  readonly kind: string
  readonly tags: ReadonlyArray<string>
  readonly read: (json: string) => ReadonlyArray<unknown>
  readonly write: (event: unknown) => unknown
}

const written = (protocol: AnyProtocol): Written => {
  // Replay refuses a field that it does not know rather than lose what the field said, and so do we.
  const read = Schema.decodeUnknownSync(Schema.Array(protocol.event), { onExcessProperty: "error" })
  const write = Schema.encodeUnknownSync(protocol.event)
  return { kind: protocol.kind, tags: tagsOf(protocol), read: (json) => read(JSON.parse(json)), write }
}

/** How far an outbox has come is a kind of the runtime's own, so it is not among the messages. */
const outbox: Written = { kind: "outbox", tags: ["Advanced"], read: outboxKind.readEvents, write: (event) => event }
const kinds: ReadonlyArray<Written> = [...protocols.map(written), outbox]

const folders = readdirSync(golden, { withFileTypes: true }).filter((entry) => entry.isDirectory())
const files = folders.flatMap(({ name }) =>
  readdirSync(join(golden, name)).map((file) => {
    const [, tag = "", version = ""] = fileName.exec(file) ?? []
    const bytes = readFileSync(join(golden, name, file))
    return { kind: name, file: `${name}/${file}`, tag, version: Number(version), bytes }
  })
)

describe("golden events", () => {
  it("belong to a kind that still is, and are named for their event and version", () => {
    expect(protocols.length).toBeGreaterThan(0)
    for (const { kind, file, tag } of files) {
      expect(
        kinds.map((one) => one.kind),
        file
      ).toContain(kind)
      expect(tag, `${file} is not named Event.v1.json`).not.toBe("")
    }
  })

  it.each(kinds)("exist for every event of $kind", ({ kind, tags }) => {
    const kept = new Set(files.filter((file) => file.kind === kind).map(({ tag }) => tag))
    const lacking = tags.filter((tag) => !kept.has(tag))
    expect(lacking, `add test/golden/${kind}/<Event>.v1.json for each`).toEqual([])
  })

  it.each(files)("$file decodes", ({ kind, tag, version, bytes }) => {
    const one = kinds.find((known) => known.kind === kind)
    if (one === undefined) throw new Error(`no kind ${kind}`)
    const text = bytes.toString("utf8")
    const [event] = one.read(`[${text}]`)
    expect(event).toHaveProperty("_tag", tag)
    // What the newest version says is kept whole: a field that decoding drops would be lost at the next replay.
    const newest = Math.max(
      ...files.filter((file) => file.kind === kind && file.tag === tag).map((file) => file.version)
    )
    if (version === newest) expect(one.write(event)).toEqual(JSON.parse(text))
  })

  it("are never changed or removed: write a new version beside the old one", () => {
    const manifest: Record<string, string> = JSON.parse(readFileSync(join(golden, "digests.json"), "utf8"))
    const digests = files.map(({ file, bytes }) => [file, createHash("sha256").update(bytes).digest("hex")] as const)
    expect(Object.fromEntries(digests), "a new file's line goes into test/golden/digests.json").toEqual(manifest)
  })
})

describe("the golden folder", () => {
  it("holds nothing else", () => {
    const others = readdirSync(golden, { withFileTypes: true }).filter((entry) => !entry.isDirectory())
    expect(others.map((entry) => basename(entry.name))).toEqual(["digests.json"])
  })
})
