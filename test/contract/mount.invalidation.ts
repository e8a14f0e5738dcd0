/** What a kernel shows of changes behind its back. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, statSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import type { Able, Mounted } from "./mount.programs.ts"

export const invalidation = (mount: () => Mounted, able: Able): void => {
  able("invalidation", "shows what changed behind the kernel's back once that is told, and not before", async () => {
    const { behind, place } = mount()
    const path = join(place, "watched")
    await behind({ write: { name: "watched", bytes: "before" } }, [{ kind: "entry", parent: 1, name: "watched" }])
    expect(readFileSync(path, "utf8")).toBe("before")
    const { ino } = statSync(path)
    await behind({ write: { name: "watched", bytes: "after that" } }, [])
    expect(statSync(path).size).toBe(6)
    await behind({}, [{ kind: "inode", ino, offset: 0, length: 0 }])
    expect(readFileSync(path, "utf8")).toBe("after that")
    await behind({ remove: "watched" }, [])
    expect(existsSync(path)).toBe(true)
    await behind({}, [{ kind: "deleted", parent: 1, ino, name: "watched" }])
    expect(existsSync(path)).toBe(false)
    await behind({}, [{ kind: "entry", parent: 999_999, name: "unknown" }])
  })

  able("invalidation", "takes pages that it did not ask for", async () => {
    const { behind, place } = mount()
    const path = join(place, "stored")
    const page = (letter: string) => letter.repeat(4096)
    await behind({ write: { name: "stored", bytes: page("a") } }, [{ kind: "entry", parent: 1, name: "stored" }])
    const { ino } = statSync(path)
    await behind({}, [{ kind: "store", ino, offset: 0, data: Buffer.from(page("b")) }])
    expect(readFileSync(path, "utf8")).toBe(page("b"))
    await behind({}, [{ kind: "inode", ino, offset: 0, length: 0 }])
    expect(readFileSync(path, "utf8")).toBe(page("a"))
    unlinkSync(path)
  })

  able("invalidation", "is told while names are made, listed and removed in the same directory", async () => {
    const { behind, place } = mount()
    const script = `import os,sys
d=sys.argv[1]
for i in range(1500):
  p=d+"/storm-"+sys.argv[2]+str(i%40)
  open(p,"w").write("x"); os.stat(p); os.listdir(d); os.unlink(p)
print("fine")`
    const all = ["a", "b"].map((name) => spawn("python3", ["-c", script, place, name]))
    const ended = Promise.all(all.map(async (one) => (await once(one, "exit"))[0]))
    let told = 0
    let over = false
    void ended.then(() => {
      over = true
    })
    while (!over) {
      const names = Array.from({ length: 40 }, (_, index) => `storm-a${index}`)
      const entries = names.map((name) => ({ kind: "entry", parent: 1, name }) as const)
      await behind({}, [...entries, { kind: "inode", ino: 1, offset: 0, length: 0 }])
      told += entries.length
    }
    expect(await ended).toEqual([0, 0])
    expect(told).toBeGreaterThan(0)
  })

  able("invalidation", "shows a name that others made, where there was none", async () => {
    const { behind, place } = mount()
    const path = join(place, "appears")
    expect(existsSync(path)).toBe(false)
    await behind({ write: { name: "appears", bytes: "here" } }, [{ kind: "entry", parent: 1, name: "appears" }])
    expect(readFileSync(path, "utf8")).toBe("here")
    expect(spawnSync("rm", [path]).status).toBe(0)
  })
}
