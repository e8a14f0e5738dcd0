/** The POSIX file system tests on the tree in memory, where PJDFSTEST names them: what fails is the adapter's fault. */
import { type ChildProcess, execFile, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { leftOut } from "./fuse-able.ts"

const tree = process.env["PJDFSTEST"]
if (tree === undefined) console.log("skipped: the POSIX file system tests, for PJDFSTEST names no built tree of them")

describe.skipIf(tree === undefined || leftOut("the POSIX file system tests"))("pjdfstest", () => {
  for (const where of ["worker", "main"]) {
    it(`finds nothing wrong with a tree that the ${where} thread has`, async () => {
      const place = mkdtempSync(join(tmpdir(), "artifacts-fuse-"))
      const child: ChildProcess = fork(new URL("./fuse-mount.ts", import.meta.url), [place, JSON.stringify({ where })])
      const ended = once(child, "exit")
      try {
        expect((await Promise.race([once(child, "message"), ended]))[0]).toBe("ready")
        const { stdout } = await promisify(execFile)(new URL("./pjdfstest", import.meta.url).pathname, [place, "6"])
        expect(stdout).toMatch(/^passed \d{4,}, failed 0 of /)
      } finally {
        child.kill("SIGTERM")
        await ended
        rmdirSync(place)
      }
    })
  }
})
