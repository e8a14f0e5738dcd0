/** Operations on attributes, the extended ones among them. */
import { Effect } from "effect"
import type { SetTime } from "../../runtime/ports/mount.ts"
import type { Slot } from "./binding.ts"
import { type Asked, done, type Operation, operation } from "./operation.ts"
import { encodeFileSystem, encodeStat, timesOf } from "./record.ts"

const permissionBits = 0o7777
/** An owner that stays as it is. */
const unchanged = 2 ** 32 - 1
const wide = 2 ** 32

const getattr = ({ paths }: Asked) =>
  Effect.fnUntraced(function* (path: string) {
    return { result: 0, given: [encodeStat(yield* paths.stat(path))] }
  })

const fgetattr = ({ ask, handles, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, handle: number) {
    const open = handles.get(handle)
    const stat = open === undefined ? yield* paths.stat(path) : (yield* ask("getattr", { node: open.node })).stat
    return { result: 0, given: [encodeStat(stat)] }
  })

const chmod = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, mode: number) {
    yield* ask("setattr", { node: yield* paths.find(path), mode: mode & permissionBits, clearSetId: false })
    return done
  })

const chown = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, owner: number, group: number) {
    const node = yield* paths.find(path)
    yield* ask("setattr", {
      node,
      ...(owner !== unchanged && { owner }),
      ...(group !== unchanged && { group }),
      clearSetId: false
    })
    return done
  })

const truncate = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, low: number, high: number) {
    yield* ask("setattr", { node: yield* paths.find(path), size: low + high * wide, clearSetId: false })
    return done
  })

const ftruncate = ({ ask, handles, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, handle: number, low: number, high: number) {
    const node = handles.get(handle)?.node ?? (yield* paths.find(path))
    yield* ask("setattr", { node, size: low + high * wide, clearSetId: false })
    return done
  })

const moment = (ms: number): SetTime => {
  const s = Math.floor(ms / 1000)
  return { s, ns: (ms - s * 1000) * 1_000_000 }
}

const utimens = ({ ask, paths }: Asked): Operation => {
  const run = Effect.fnUntraced(function* (slot: Slot, args: ReadonlyArray<never>) {
    const [path, low, high] = args as unknown as readonly [string, number, number]
    const times = timesOf(slot, low, high)
    if (times === undefined) return yield* Effect.fail("EOPNOTSUPP" as const)
    const [atime, mtime] = times
    const node = yield* paths.find(path)
    yield* ask("setattr", { node, atime: moment(atime), mtime: moment(mtime), clearSetId: false })
    return done
  })
  return { blank: () => [], run }
}

const statfs = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string) {
    const found = yield* ask("statfs", { node: yield* paths.find(path) })
    return { result: 0, given: [encodeFileSystem(found)] }
  })

/** As Linux numbers the ways to set an attribute. */
const ways = ["set", "create", "replace"] as const

const setxattr = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, name: string, value: Buffer, _position: number, flags: number) {
    const node = yield* paths.find(path)
    // The bytes are the caller's, and gone when this is answered.
    yield* ask("setxattr", { node, name, value: new Uint8Array(value), how: ways[flags & 3] ?? "set" })
    return { result: 0, given: [value.buffer] }
  })

const getxattr = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, name: string, into: Buffer) {
    const node = yield* paths.find(path)
    const value = yield* ask("getxattr", { node, name, size: into.length })
    if (into.length > 0 && value.length > into.length) return yield* Effect.fail("ERANGE" as const)
    if (into.length > 0) into.set(value)
    return { result: value.length, given: [into.buffer] }
  })

const listxattr = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, into: Buffer) {
    const node = yield* paths.find(path)
    const list = Buffer.from((yield* ask("listxattr", { node, size: into.length })).map((name) => `${name}\0`).join(""))
    if (into.length > 0 && list.length > into.length) return yield* Effect.fail("ERANGE" as const)
    if (into.length > 0) into.set(list)
    return { result: list.length, given: [into.buffer] }
  })

const removexattr = ({ ask, paths }: Asked) =>
  Effect.fnUntraced(function* (path: string, name: string) {
    yield* ask("removexattr", { node: yield* paths.find(path), name })
    return done
  })

const noStat = () => [new Uint32Array(18)]

export const attributes = (asked: Asked): Readonly<Record<string, Operation>> => ({
  getattr: operation(getattr(asked), noStat),
  fgetattr: operation(fgetattr(asked), noStat),
  chmod: operation(chmod(asked)),
  chown: operation(chown(asked)),
  truncate: operation(truncate(asked)),
  ftruncate: operation(ftruncate(asked)),
  utimens: utimens(asked),
  statfs: operation(statfs(asked), () => [new Uint32Array(11)]),
  setxattr: operation(setxattr(asked), (_path, _name, value) => [value.buffer]),
  getxattr: operation(getxattr(asked), (_path, _name, into) => [into.buffer]),
  listxattr: operation(listxattr(asked), (_path, into) => [into.buffer]),
  removexattr: operation(removexattr(asked))
})
