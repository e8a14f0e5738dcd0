/** Commands that move files: between a workspace and this host's disk, standard input and standard output. */
import { randomBytes } from "node:crypto"
import { closeSync, createReadStream, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs"
import { Effect, Stream } from "effect"
import type { Named } from "../cli/file.ts"
import type { Globals } from "../cli/globals.ts"
import { Problem } from "../cli/problem.ts"
import { progress } from "../cli/progress.ts"
import { list, resolve } from "../transfer/commands.ts"
import { bytesOf, put, remove } from "../transfer/files.ts"
import { inWords, transferOf } from "./transfer.ts"

interface Pair extends Named {
  readonly local: string
}

const now = () => performance.now()

const inLocal = (error: unknown): Problem => {
  const { code = "local", message = String(error) } = error as NodeJS.ErrnoException
  return new Problem({ code, message })
}

export const putFile = (globals: Globals, { workspace, path, local }: Pair) =>
  Effect.gen(function* () {
    const isInput = local === "-"
    const found = yield* Effect.try({ try: () => (isInput ? undefined : statSync(local)), catch: inLocal })
    if (found !== undefined && !found.isFile())
      return yield* new Problem({
        code: "EISDIR",
        message: `${local} is no file`,
        next: "mount it to copy a directory"
      })
    const transfer = yield* transferOf(globals, workspace, "rw")
    const bytes = Stream.fromAsyncIterable<Uint8Array, Problem>(
      isInput ? process.stdin : createReadStream(local, { highWaterMark: 1024 * 1024 }),
      inLocal
    )
    const bar = progress(path, found?.size, process.stderr, now)
    const aside = `.${randomBytes(8).toString("hex")}.part`
    const from = { bytes, mode: (found?.mode ?? 0o644) & 0o7777, aside }
    const done = yield* put(transfer, path, from, bar.moved)
    bar.end()
    return done
  }).pipe(Effect.scoped, Effect.mapError(inWords))

/** Whole or not there: beside its place first. */
const intoFile = (local: string, bytes: Stream.Stream<Uint8Array, unknown>, moved: (bytes: number) => void) =>
  Effect.gen(function* () {
    const aside = `${local}.${randomBytes(4).toString("hex")}.part`
    const fd = yield* Effect.try({ try: () => openSync(aside, "wx"), catch: inLocal })
    let done = 0
    yield* Stream.runForEach(bytes, (part) =>
      Effect.try({
        try: () => {
          for (let at = 0; at < part.length; ) at += writeSync(fd, part, at)
          done += part.length
          moved(done)
        },
        catch: inLocal
      })
    ).pipe(
      Effect.ensuring(Effect.sync(() => closeSync(fd))),
      Effect.onError(() => Effect.sync(() => rmSync(aside, { force: true })))
    )
    yield* Effect.try({ try: () => renameSync(aside, local), catch: inLocal })
    return done
  })

const intoOutput = (bytes: Stream.Stream<Uint8Array, unknown>) =>
  Stream.runFoldEffect(
    bytes,
    () => 0,
    (done, part) =>
      Effect.callback<number>((resume) => {
        process.stdout.write(part, () => resume(Effect.succeed(done + part.length)))
      })
  )

export const getFile = (globals: Globals, { workspace, path, local }: Pair) =>
  Effect.gen(function* () {
    const transfer = yield* transferOf(globals, workspace, "ro")
    const { attributes } = yield* resolve(transfer.as, path)
    const { ino, size, type } = attributes
    if (type !== "file") return yield* new Problem({ code: "EISDIR", message: `${path} is no file but a ${type}` })
    const bytes = bytesOf(transfer, ino, size)
    if (local === "-") return { ino, bytes: yield* intoOutput(bytes) }
    const bar = progress(path, size, process.stderr, now)
    const done = yield* intoFile(local, bytes, bar.moved)
    bar.end()
    return { ino, bytes: done }
  }).pipe(Effect.scoped, Effect.mapError(inWords))

export const listFiles = (globals: Globals, { workspace, path }: Named) =>
  Effect.gen(function* () {
    const { as } = yield* transferOf(globals, workspace, "ro")
    const { attributes, name } = yield* resolve(as, path)
    if (attributes.type !== "directory") return [{ name, attributes }]
    const found = yield* list(as, attributes.ino)
    return found.map(({ name: each, attributes: of }) => ({ name: each, attributes: of }))
  }).pipe(Effect.scoped, Effect.mapError(inWords))

export const removeFiles = (globals: Globals, { workspace, path }: Named, deep: boolean) =>
  Effect.gen(function* () {
    const transfer = yield* transferOf(globals, workspace, "rw")
    return yield* remove(transfer, path, deep)
  }).pipe(Effect.scoped, Effect.mapError(inWords))

export const showFile = (globals: Globals, { workspace, path }: Named) =>
  Effect.gen(function* () {
    const { as } = yield* transferOf(globals, workspace, "ro")
    return (yield* resolve(as, path, false)).attributes
  }).pipe(Effect.scoped, Effect.mapError(inWords))
