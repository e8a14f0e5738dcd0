/** Files in and out of a workspace without a mount. */
import { Clock, Effect, Stream } from "effect"
import type { Data } from "../files/data.ts"
import { type Speaker, speak } from "../mount/asking.ts"
import { by, list, type Resolved, resolve } from "./commands.ts"

/** What is moved at once: several blocks, so that they travel side by side. */
const stepBytes = 16 * 1024 * 1024

export interface Transfer {
  readonly as: Speaker
  readonly data: Data
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

/**
 * Puts bytes into a file that appears whole: until the last of them is stored, its path leads to what was there before.
 */
export const put = <E, R>(
  transfer: Transfer,
  path: string,
  from: { readonly bytes: Stream.Stream<Uint8Array, E, R>; readonly mode: number; readonly aside: string },
  moved: (bytes: number) => void
) =>
  Effect.gen(function* () {
    const { as, data } = transfer
    const { directory, name } = splitPath(path)
    const { attributes: parent } = yield* resolve(as, directory)
    const fields = { parent: parent.ino, name: from.aside, mode: from.mode, exclusive: true }
    const made = (yield* change(transfer, "Create", fields)) as Resolved
    const { ino } = made.attributes
    let offset = 0
    const filled = Stream.runForEach(from.bytes, (bytes) =>
      Effect.gen(function* () {
        yield* data.write({ ino, offset, data: bytes, who: { uid: 0, gid: 0 } })
        offset += bytes.length
        moved(offset)
      })
    )
    const whole = Effect.gen(function* () {
      yield* filled
      yield* data.flush(ino)
      yield* change(transfer, "Rename", { parent: parent.ino, name: from.aside, toParent: parent.ino, toName: name })
    })
    // What did not become whole is nobody's file.
    yield* whole.pipe(
      Effect.onError(() => Effect.ignore(change(transfer, "Unlink", { parent: parent.ino, name: from.aside })))
    )
    return { ino, bytes: offset }
  })

/** The bytes of a file, step by step. */
export const bytesOf = ({ data }: Transfer, ino: number, size: number): Stream.Stream<Uint8Array, unknown> =>
  Stream.fromIterable(Array.from({ length: Math.ceil(size / stepBytes) }, (_, step) => step * stepBytes)).pipe(
    Stream.mapEffect((offset) =>
      data
        .read({ ino, offset, length: Math.min(stepBytes, size - offset), handle: ino })
        .pipe(Effect.map((pieces) => Buffer.concat(pieces as Array<Uint8Array>)))
    )
  )

/** Takes a name away; with `deep` a directory and all that is in it. */
export const remove: (transfer: Transfer, path: string, deep: boolean) => Effect.Effect<number, unknown> =
  Effect.fnUntraced(function* (transfer, path, deep) {
    const { attributes, parent, name } = yield* resolve(transfer.as, path, false)
    if (attributes.type !== "directory") {
      yield* change(transfer, "Unlink", { parent, name })
      return 1
    }
    let removed = 0
    if (deep)
      for (const each of yield* list(transfer.as, attributes.ino))
        removed += yield* remove(transfer, `${path.replace(/\/+$/, "")}/${each.name}`, true)
    yield* change(transfer, "Rmdir", { parent, name })
    return removed + 1
  })
