/** Operations on open files and directories. */
import { Effect } from "effect"
import type { Open } from "./handles.ts"
import { type Asked, done, type Operation, operation } from "./operation.ts"

const wide = 2 ** 32
/** Locks are the kernel's own here, so nobody's end with a close. */
const owner = "0".repeat(16)

/** Path, handle, the bytes or the room for them, their number, and the offset in two halves. */
type Bytes = [string, number, Buffer, number, number, number]

const found = ({ handles }: Asked, handle: number): Effect.Effect<Open, "EBADF"> => {
  const open = handles.get(handle)
  return open === undefined ? Effect.fail("EBADF") : Effect.succeed(open)
}

const open = ({ ask, handles, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, flags: number) {
    const node = yield* paths.find(path)
    const { handle = 0 } = yield* ask("open", { node, flags, clearSetId: false })
    return { result: 0, given: [handles.add({ node, handle, flags })] }
  })

const read = (asked: Asked) =>
  Effect.fnUntraced(function* (...[, handle, into, size, low, high]: Bytes) {
    const { node, ...given } = yield* found(asked, handle)
    const answer = yield* asked.ask("read", { node, ...given, offset: low + high * wide, size }, into)
    if (typeof answer === "number") return { result: answer, given: [0, into.buffer] }
    let length = 0
    for (const piece of answer instanceof Uint8Array ? [answer] : answer) {
      into.set(piece, length)
      length += piece.length
    }
    return { result: length, given: [0, into.buffer] }
  })

const write = (asked: Asked) =>
  Effect.fnUntraced(function* (...[, handle, data, , low, high]: Bytes) {
    const { node, ...given } = yield* found(asked, handle)
    const how = { ...given, offset: low + high * wide, delayed: false, clearSetId: false }
    const written = yield* asked.ask("write", { node, ...how, data })
    return { result: written, given: [0, data.buffer] }
  })

const flush = (asked: Asked) =>
  Effect.fnUntraced(function* (_: string, number: number) {
    const { node, handle } = yield* found(asked, number)
    yield* asked.ask("flush", { node, handle, owner })
    return done
  })

const fsync = (asked: Asked) =>
  Effect.fnUntraced(function* (_: string, dataOnly: number, number: number) {
    const { node, handle } = yield* found(asked, number)
    yield* asked.ask("fsync", { node, handle, dataOnly: dataOnly !== 0 })
    return done
  })

const release = (asked: Asked) =>
  Effect.fnUntraced(function* (_: string, number: number) {
    const opened = yield* found(asked, number)
    asked.handles.remove(number)
    yield* asked.ask("release", { ...opened, owner, flock: false })
    return done
  })

const opendir = ({ ask, handles, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, _: number, flags: number) {
    const node = yield* paths.find(path)
    const { handle = 0 } = yield* ask("opendir", { node, flags })
    return { result: 0, given: [handles.add({ node, handle, flags })] }
  })

const fsyncdir = (asked: Asked) =>
  Effect.fnUntraced(function* (_: string, dataOnly: number, number: number) {
    const { node, handle } = yield* found(asked, number)
    yield* asked.ask("fsyncdir", { node, handle, dataOnly: dataOnly !== 0 })
    return done
  })

const releasedir = (asked: Asked) =>
  Effect.fnUntraced(function* (_: string, number: number) {
    const { node, handle } = yield* found(asked, number)
    asked.handles.remove(number)
    yield* asked.ask("releasedir", { node, handle })
    return done
  })

export const bytes = (asked: Asked): Readonly<Record<string, Operation>> => ({
  open: operation(open(asked), () => [0]),
  read: operation(read(asked), (_path, _handle, into) => [0, into.buffer]),
  write: operation(write(asked), (_path, _handle, data) => [0, data.buffer]),
  flush: operation(flush(asked)),
  fsync: operation(fsync(asked)),
  release: operation(release(asked)),
  opendir: operation(opendir(asked), () => [0]),
  fsyncdir: operation(fsyncdir(asked)),
  releasedir: operation(releasedir(asked))
})
