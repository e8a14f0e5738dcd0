/** Git on a mount: clone, change, gc and fsck; and what it made is the same on another host. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Ground, patientMs, run, without } from "./apps.ts"

const why = without("git", "git")
const commits = 5
const files = 60

const git = (place: string, ...args: ReadonlyArray<string>): string =>
  run(place, "git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "safe.directory=*", ...args)

/** A repository with some history, on a local disk. */
const repository = (place: string): string => {
  mkdirSync(place)
  git(place, "init", "-q", "-b", "main")
  for (let commit = 0; commit < commits; commit++) {
    for (let at = 0; at < files; at++) {
      const folder = join(place, `part-${at % 7}`, `deep-${at % 3}`)
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `file-${at}`), `commit ${commit} of file ${at}\n`.repeat(1 + ((at * 37) % 200)))
    }
    git(place, "add", ".")
    git(place, "commit", "-qm", `the ${commit}th`)
  }
  return place
}

describe.skipIf(why !== undefined)("git", () => {
  const ground = new Ground()
  beforeAll(() => ground.begin(), patientMs)
  afterAll(() => ground.end(), patientMs)

  it("clones, commits, branches, gathers its objects and finds nothing amiss, on two hosts", {
    timeout: patientMs
  }, () => {
    const source = repository(join(ground.local, "source"))
    const place = join(ground.a, "clone")
    git(ground.a, "clone", "-q", "--no-local", source, place)
    expect(git(place, "status", "--porcelain")).toBe("")
    expect(git(place, "rev-parse", "HEAD")).toBe(git(source, "rev-parse", "HEAD"))
    git(place, "checkout", "-q", "-b", "other")
    writeFileSync(join(place, "part-0", "new"), "of this branch\n")
    expect(git(place, "status", "--porcelain")).toBe("?? part-0/new\n")
    git(place, "add", ".")
    git(place, "commit", "-qm", "on a branch")
    git(place, "checkout", "-q", "main")
    git(place, "merge", "-q", "--no-ff", "-m", "merged", "other")
    git(place, "gc", "-q", "--aggressive", "--prune=now")
    expect(git(place, "fsck", "--full", "--strict")).toBe("")
    const other = join(ground.b, "clone")
    expect(git(other, "rev-parse", "HEAD")).toBe(git(place, "rev-parse", "HEAD"))
    expect(git(other, "fsck", "--full", "--strict")).toBe("")
    expect(git(other, "status", "--porcelain")).toBe("")
    expect(readFileSync(join(other, "part-0", "new"), "utf8")).toBe("of this branch\n")
    git(other, "worktree", "add", "-q", join(ground.b, "tree"), "other")
    expect(git(join(ground.a, "tree"), "status", "--porcelain")).toBe("")
  })
})
