/** Files of this host, as a transfer reads and writes them; what it writes appears whole. */
import { randomBytes } from "node:crypto"
import {
  chmodSync,
  closeSync,
  createReadStream,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  writeSync
} from "node:fs"
import { Effect, Stream } from "effect"
import { decodeName, encodeName } from "../../messages/names.ts"
import { Problem } from "../cli/problem.ts"
import type { Node, Tree } from "../transfer/tree.ts"

/** A path as its bytes: names need not be text. */
export const pathOf = (path: string): Buffer => Buffer.from(path)
export const below = (path: Buffer, name: string): Buffer => Buffer.concat([path, Buffer.from("/"), encodeName(name)])
const shown = (path: Buffer): string => decodeName(path)

/** What went wrong with a path, in words that begin with it. */
const inLocal =
  (path: Buffer) =>
  (error: unknown): Problem => {
    const { code = "local", message = String(error) } = error as NodeJS.ErrnoException
    const words = message.replace(/^[A-Z0-9]+: /, "").replace(/, \w+( '.*)?$/s, "")
    return new Problem({ code, message: `${shown(path)}: ${words}` })
  }

const locally = <A>(path: Buffer, evaluate: () => A): Effect.Effect<A, Problem> =>
  Effect.try({ try: evaluate, catch: inLocal(path) })

export const statOf = (path: Buffer): Effect.Effect<Stats, Problem> => locally(path, () => statSync(path))
export const isDirectory = (path: Buffer): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Read at once: a file of one piece costs one call, and a stream several. */
const pieceBytes = 1024 * 1024

export const bytesOfLocal = (path: Buffer, size: number): Stream.Stream<Uint8Array, Problem> =>
  size > 0 && size <= pieceBytes
    ? Stream.fromEffect(locally(path, () => readFileSync(path)))
    : Stream.fromAsyncIterable<Uint8Array, Problem>(
        createReadStream(path, { highWaterMark: pieceBytes }),
        inLocal(path)
      )

export const inputBytes = (): Stream.Stream<Uint8Array, Problem> =>
  Stream.fromAsyncIterable<Uint8Array, Problem>(process.stdin, inLocal(pathOf("-")))

export interface Local {
  readonly path: Buffer
  readonly stat: Stats
}

/** A directory of this host with all that is in it; symbolic links are not followed. */
export const scan = (root: Buffer): Effect.Effect<Tree<Local>, Problem> =>
  locally(root, () => {
    const directories: Array<Node<Local>> = [{ directory: -1, name: "", of: { path: root, stat: statSync(root) } }]
    const leaves: Array<Node<Local>> = []
    for (let at = 0; at < directories.length; at++) {
      const { path } = (directories[at] as Node<Local>).of
      for (const bytes of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare)) {
        const name = decodeName(bytes)
        const of = { path: below(path, name), stat: lstatSync(below(path, name)) }
        ;(of.stat.isDirectory() ? directories : leaves).push({ directory: at, name, of })
      }
    }
    return { directories, leaves }
  })

export const targetOf = (path: Buffer): Effect.Effect<string, Problem> =>
  locally(path, () => decodeName(readlinkSync(path, { encoding: "buffer" })))

const asideOf = (path: Buffer): Buffer => Buffer.concat([path, Buffer.from(`.${randomBytes(4).toString("hex")}.part`)])

/** Whole or not there: beside its place first. */
const appearing = <A, E>(path: Buffer, make: (aside: Buffer) => Effect.Effect<A, E>): Effect.Effect<A, E | Problem> => {
  const aside = asideOf(path)
  return make(aside).pipe(
    Effect.tap(() => locally(path, () => renameSync(aside, path))),
    Effect.onError(() => Effect.sync(() => rmSync(aside, { force: true })))
  )
}

/** Gives how many bytes it has; `moved` hears how many more it has each time. */
export const intoFile = (
  path: Buffer,
  mode: number,
  bytes: Stream.Stream<Uint8Array, unknown>,
  moved: (bytes: number) => void
) =>
  appearing(path, (aside) =>
    Effect.acquireUseRelease(
      locally(path, () => openSync(aside, "wx", mode)),
      (fd) => {
        let done = 0
        const write = (part: Uint8Array) =>
          locally(path, () => {
            for (let at = 0; at < part.length; ) at += writeSync(fd, part, at)
            done += part.length
            moved(part.length)
          })
        return Effect.map(Stream.runForEach(bytes, write), () => done)
      },
      (fd) => Effect.sync(() => closeSync(fd))
    )
  )

export const intoLink = (path: Buffer, target: string): Effect.Effect<void, Problem> =>
  appearing(path, (aside) => locally(path, () => symlinkSync(Buffer.from(encodeName(target)), aside)))

/** May be written into until all is in it; then it gets its own mode. One that is there already stays as it is. */
export const makeDirectory = (path: Buffer, mode: number): Effect.Effect<() => void, Problem> =>
  locally(path, () => {
    if (isDirectory(path)) return () => undefined
    mkdirSync(path, mode | 0o700)
    return () => {
      if ((mode & 0o700) !== 0o700) chmodSync(path, mode)
    }
  })

/** Ends quietly when nobody reads any more, as `head` does. */
export const intoOutput = (bytes: Stream.Stream<Uint8Array, unknown>) => {
  let gone = false
  process.stdout.on("error", () => {
    gone = true
  })
  const write = (part: Uint8Array) =>
    Effect.callback<void>((resume) => {
      process.stdout.write(part, () => resume(Effect.void))
    })
  let done = 0
  return bytes.pipe(
    Stream.takeWhile(() => !gone),
    Stream.tap(write),
    Stream.runForEach((part) =>
      Effect.sync(() => {
        done += part.length
      })
    ),
    Effect.map(() => done)
  )
}
