/** What a transfer makes of directories: their trees, their order, and the files of this host. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Stream } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { Count, sum } from "../../runtime/node/count.ts"
import { below, bytesOfLocal, intoFile, makeDirectory, pathOf, scan, targetOf } from "../../runtime/node/local.ts"
import { levels, pathIn } from "../../runtime/transfer/tree.ts"

const root = mkdtempSync(join(tmpdir(), "artifacts-transfer-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const at = (...names: ReadonlyArray<string>) => join(root, ...names)

describe("a directory of this host", () => {
  it("is a tree: each directory behind the one that it is in, links as links, names that are no text", async () => {
    mkdirSync(at("tree", "a", "b"), { recursive: true })
    mkdirSync(at("tree", "c"))
    writeFileSync(at("tree", "a", "b", "file"), "1")
    writeFileSync(Buffer.concat([Buffer.from(at("tree", "c")), Buffer.from([0x2f, 0xff])]), "2")
    symlinkSync("a", at("tree", "link"))
    const tree = await Effect.runPromise(scan(pathOf(at("tree"))))
    expect(tree.directories.map((node) => pathIn(tree, node))).toEqual(["", "/a", "/c", "/a/b"])
    expect(tree.leaves.map((node) => pathIn(tree, node)).sort()).toEqual(["/a/b/file", "/c/\udcff", "/link"].sort())
    expect(levels(tree)).toEqual([[0], [1, 2], [3]])
    const odd = tree.leaves.find(({ name }) => name === "\udcff")
    const bytes = await Effect.runPromise(Stream.runCollect(bytesOfLocal(odd?.of.path ?? Buffer.alloc(0), 1)))
    expect(Buffer.concat([...bytes]).toString()).toBe("2")
    expect(await Effect.runPromise(targetOf(pathOf(at("tree", "link"))))).toBe("a")
  })

  it("is named in what goes wrong", async () => {
    await expect(Effect.runPromise(scan(pathOf(at("nowhere"))))).rejects.toThrow(
      `${at("nowhere")}: no such file or directory`
    )
    const denied = intoFile(pathOf(at("nowhere", "file")), 0o644, Stream.empty, () => undefined)
    await expect(Effect.runPromise(denied)).rejects.toThrow(`${at("nowhere", "file")}: no such file or directory`)
  })
})

describe("a file that arrives", () => {
  it("has its mode, is whole or not there, and counts what came", async () => {
    let moved = 0
    const count = (bytes: number) => {
      moved += bytes
    }
    const parts = Stream.fromIterable([Buffer.from("one, "), Buffer.from("two")])
    expect(await Effect.runPromise(intoFile(pathOf(at("whole")), 0o640, parts, count))).toBe(8)
    expect([readFileSync(at("whole"), "utf8"), statSync(at("whole")).mode & 0o777, moved]).toEqual([
      "one, two",
      0o640,
      8
    ])
    const broken = Stream.concat(Stream.fromIterable([Buffer.from("half")]), Stream.fail("lost"))
    await expect(Effect.runPromise(intoFile(pathOf(at("whole")), 0o640, broken, count))).rejects.toThrow()
    expect(readFileSync(at("whole"), "utf8")).toBe("one, two")
    expect(readdirSync(root).filter((name) => name.endsWith(".part"))).toEqual([])
  })

  it("goes into a directory that gets its own mode when all is in it", async () => {
    const path = below(pathOf(root), "sealed")
    const seal = await Effect.runPromise(makeDirectory(path, 0o555))
    expect(statSync(path).mode & 0o700).toBe(0o700)
    seal()
    expect(statSync(path).mode & 0o777).toBe(0o555)
    expect(await Effect.runPromise(makeDirectory(path, 0o700))).toBeTypeOf("function")
  })
})

describe("what was moved", () => {
  it("is counted by kind, and summed up", () => {
    const count = new Count("demo:/x", 2, undefined)
    Effect.runSync(count.one("files", Effect.succeed(1)))
    count.moved(5)
    count.skip(Buffer.from("pipe"))
    const one = count.end()
    expect(one).toEqual({ files: 1, directories: 0, links: 0, bytes: 5, skipped: ["pipe"] })
    expect(sum([one, one])).toEqual({ files: 2, directories: 0, links: 0, bytes: 10, skipped: ["pipe", "pipe"] })
  })
})
