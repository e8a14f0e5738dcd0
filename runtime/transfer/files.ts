/** Files in and out of a workspace without a mount. */
import { Clock, Effect, Random, Stream } from "effect"
import { CommandRefused } from "../files/commands.ts"
import type { Data } from "../files/data.ts"
import { type Speaker, speak } from "../mount/asking.ts"
import { by, list, lookup, type Resolved, resolve } from "./commands.ts"

/** What is moved at once: several blocks, so that they travel side by side. */
const stepBytes = 16 * 1024 * 1024

export interface Transfer {
  readonly as: Speaker
  readonly data: Data
}

/** A name in a directory. */
export interface Place {
  readonly parent: number
  readonly name: string
}

/** The directory of a path and the name in it. */
export const splitPath = (path: string): { readonly directory: string; readonly name: string } => {
  const trimmed = path.replace(/\/+$/, "")
  const at = trimmed.lastIndexOf("/")
  return { directory: at <= 0 ? "/" : trimmed.slice(0, at), name: trimmed.slice(at + 1) }
}

const change = Effect.fnUntraced(function* ({ as }: Transfer, name: string, fields: object) {
  return yield* speak(as, "do", name, { ...fields, ...by(yield* Clock.currentTimeMillis) })
})

const isErrno = (errno: string) => (error: { readonly _tag: string; readonly errno?: string }) => error.errno === errno

/**
 * Where `cp` would put something with this name: into a directory that is there, else under the path's own name. Of
 * several things each needs the directory.
 */
export const destination = Effect.fnUntraced(function* (as: Speaker, path: string, name: string, isOne: boolean) {
  const found = yield* resolve(as, path).pipe(Effect.catchIf(isErrno("ENOENT"), () => Effect.succeed(undefined)))
  if (found?.attributes.type === "directory") return { parent: found.attributes.ino, name }
  if (!isOne || path.endsWith("/")) return yield* new CommandRefused({ errno: "ENOTDIR", why: "no such directory" })
  const { directory, name: last } = splitPath(path)
  const { attributes } = yield* resolve(as, directory)
  if (attributes.type !== "directory")
    return yield* new CommandRefused({ errno: "ENOTDIR", why: `${directory} is no directory` })
  return { parent: attributes.ino, name: last }
})

/**
 * What appears under a name appears whole: it is made beside it, and until the end the name leads to what was there
 * before. What did not become whole is nobody's.
 */
const appearing = <A, E, R>(
  transfer: Transfer,
  { name, parent }: Place,
  make: (aside: Place) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const mark = (yield* Random.nextIntBetween(0, 2 ** 48)).toString(16)
    const aside = { parent, name: `.${mark.padStart(12, "0")}.part` }
    const whole = Effect.tap(make(aside), () =>
      change(transfer, "Rename", { ...aside, toParent: parent, toName: name })
    )
    return yield* whole.pipe(Effect.onError(() => Effect.ignore(change(transfer, "Unlink", aside))))
  })

/** Puts bytes into a file; `moved` hears how many more are taken. */
export const put = <E, R>(
  transfer: Transfer,
  place: Place,
  from: { readonly bytes: Stream.Stream<Uint8Array, E, R>; readonly mode: number },
  moved: (bytes: number) => void
) =>
  appearing(transfer, place, (aside) =>
    Effect.gen(function* () {
      const { data } = transfer
      const made = (yield* change(transfer, "Create", { ...aside, mode: from.mode, exclusive: true })) as Resolved
      const { ino } = made.attributes
      let offset = 0
      yield* Stream.runForEach(from.bytes, (bytes) =>
        Effect.gen(function* () {
          yield* data.write({ ino, offset, data: bytes, who: { uid: 0, gid: 0 } })
          offset += bytes.length
          moved(bytes.length)
        })
      )
      yield* data.flush(ino)
      return { ino, bytes: offset }
    })
  )

export const putLink = (transfer: Transfer, place: Place, target: string) =>
  appearing(transfer, place, (aside) => change(transfer, "Symlink", { ...aside, target }))

/** Gives the directory's number. One that is there already stays as it is. */
export const putDirectory = (transfer: Transfer, place: Place, mode: number) =>
  (change(transfer, "Mkdir", { ...place, mode }) as Effect.Effect<Resolved, CommandRefused>).pipe(
    Effect.catchIf(isErrno("EEXIST"), () => lookup(transfer.as, place)),
    Effect.flatMap(({ attributes }) =>
      attributes.type === "directory"
        ? Effect.succeed(attributes.ino)
        : Effect.fail(new CommandRefused({ errno: "ENOTDIR", why: `there is a ${attributes.type} already` }))
    )
  )

/** The bytes of a file, step by step. */
export const bytesOf = (
  { data }: Transfer,
  { ino, size }: { readonly ino: number; readonly size: number },
  step = stepBytes
): Stream.Stream<Uint8Array, unknown> =>
  Stream.fromIterable(Array.from({ length: Math.ceil(size / step) }, (_, at) => at * step)).pipe(
    Stream.mapEffect((offset) =>
      data
        .read({ ino, offset, length: Math.min(step, size - offset), handle: ino })
        .pipe(Effect.map((pieces) => Buffer.concat(pieces as Array<Uint8Array>)))
    )
  )

/** Takes a name away; with `deep` a directory and all that is in it. */
export const remove: (transfer: Transfer, path: string, deep: boolean) => Effect.Effect<number, unknown> =
  Effect.fnUntraced(function* (transfer, path, deep) {
    const { attributes, parent, name } = yield* resolve(transfer.as, path, false)
    return yield* removeAt(transfer, { parent, name }, attributes, deep)
  })

const removeAt: (
  transfer: Transfer,
  place: Place,
  attributes: Resolved["attributes"],
  deep: boolean
) => Effect.Effect<number, unknown> = Effect.fnUntraced(function* (transfer, place, attributes, deep) {
  if (attributes.type !== "directory") {
    yield* change(transfer, "Unlink", place)
    return 1
  }
  let removed = 1
  if (deep)
    for (const each of yield* list(transfer.as, attributes.ino))
      removed += yield* removeAt(transfer, { parent: attributes.ino, name: each.name }, each.attributes, true)
  yield* change(transfer, "Rmdir", place)
  return removed
})
