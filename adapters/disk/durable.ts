/** Makes names in directories survive power loss, with as few syncs as many writers at once allow. */
import { closeSync, openSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { dirname } from "node:path"
import type { Flusher } from "./flush.ts"

/** Directories that are known to be durable; when there are more, the memory of them starts anew. */
const knownMax = 20_000

interface Syncing {
  readonly now: Promise<void>
  next: Promise<void> | undefined
}

export interface Durable {
  /** Ends when every name that is in the directory now, and the directory's own way from the root, is on the disk. */
  readonly sync: (directory: string) => Promise<void>
  /** Makes the directory and those above it. Its own durability comes with the next sync. */
  readonly make: (directory: string) => Promise<void>
}

export const durable = (root: string, { flush, synced }: Flusher): Durable => {
  const syncOnce = async (directory: string): Promise<void> => {
    const fd = openSync(directory, "r")
    try {
      await flush(fd, true)
    } finally {
      closeSync(fd)
    }
  }
  const known = new Set<string>([root])
  const syncing = new Map<string, Syncing>()

  const start = (directory: string, after: Promise<void>): Promise<void> => {
    const now = after.then(() => syncOnce(directory))
    const mine: Syncing = { now, next: undefined }
    syncing.set(directory, mine)
    const done = (): void => {
      if (syncing.get(directory) === mine) syncing.delete(directory)
    }
    now.then(done, done)
    return now
  }
  /** A sync that runs already may have begun too early for this name: all who come meanwhile share the one after it. */
  const names = (directory: string): Promise<void> => {
    const running = syncing.get(directory)
    if (running === undefined) return start(directory, Promise.resolve())
    running.next ??= running.now.catch(() => undefined).then(() => names(directory))
    return running.next
  }
  return {
    make: async (directory) => {
      await mkdir(directory, { recursive: true, mode: 0o700 })
    },
    sync: async (directory) => {
      if (!synced) return
      await names(directory)
      const fresh: Array<string> = []
      for (let at = directory; at.length > root.length && !known.has(at); at = dirname(at)) fresh.push(at)
      for (const made of fresh) await names(dirname(made))
      if (known.size + fresh.length > knownMax) known.clear()
      for (const made of fresh) known.add(made)
      known.add(root)
    }
  }
}
