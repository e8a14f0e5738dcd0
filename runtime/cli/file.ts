/** `artifacts put`, `get`, `cat`, `ls`, `rm` and `stat`: files of a workspace without a mount. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { readGlobals } from "./globals.ts"
import { asJson, card, table, write } from "./print.ts"
import { usage } from "./problem.ts"
import { bytesText } from "./progress.ts"

export interface Named {
  readonly workspace: string
  readonly path: string
}

/** `WORKSPACE:PATH`; the path begins at the workspace's root. */
export const readNamed = (text: string): Named | undefined => {
  const [, workspace, path] = /^([a-zA-Z0-9][a-zA-Z0-9_-]{0,62}):(.*)$/s.exec(text) ?? []
  return workspace === undefined || path === undefined ? undefined : { workspace, path: `/${path.replace(/^\/+/, "")}` }
}

const named = (text: string) => {
  const found = readNamed(text)
  return found === undefined
    ? Effect.fail(usage(`${JSON.stringify(text)} names no file of a workspace`, "say WORKSPACE:PATH"))
    : Effect.succeed(found)
}

const place = Argument.String("WORKSPACE:PATH").pipe(Argument.withDescription("A file of a workspace"))
const local = Argument.String("FILE").pipe(
  Argument.withDescription("A file of this host; - is the standard input or output")
)

const moving = Effect.promise(() => import("../node/moving.ts"))

const put = Command.make(
  "put",
  { local, place },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { putFile } = yield* moving
    const done = yield* putFile(globals, { workspace, path, local: given.local })
    if (globals.json) yield* write(asJson(done))
  })
).pipe(Command.withDescription("Store a file of this host in a workspace; it appears whole"))

const get = Command.make(
  "get",
  { place, local: local.pipe(Argument.optional) },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { getFile } = yield* moving
    const name = path.split("/").at(-1) || "-"
    const done = yield* getFile(globals, { workspace, path, local: Option.getOrElse(given.local, () => name) })
    if (globals.json) yield* write(asJson(done))
  })
).pipe(Command.withDescription("Bring a file of a workspace to this host"))

const cat = Command.make(
  "cat",
  { place },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { getFile } = yield* moving
    yield* getFile(globals, { workspace, path, local: "-" })
  })
).pipe(Command.withDescription("Write a file of a workspace to the standard output"))

const octal = (mode: number): string => mode.toString(8).padStart(4, "0")
const moment = ([s]: readonly [number, number]): string => `${new Date(s * 1000).toISOString().slice(0, 19)}Z`

const ls = Command.make(
  "ls",
  {
    place,
    long: Flag.Boolean("long").pipe(
      Flag.withAlias("l"),
      Flag.withDescription("With type, mode, size and time"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { listFiles } = yield* moving
    const found = yield* listFiles(globals, { workspace, path })
    if (globals.json) return yield* write(asJson(found))
    if (found.length === 0) return
    if (!given.long) return yield* write(found.map(({ name }) => name).join("\n"))
    const rows = found.map(({ name, attributes }) => [
      attributes.type,
      octal(attributes.mode),
      bytesText(attributes.size),
      moment(attributes.mtime),
      name
    ])
    yield* write(table(["TYPE", "MODE", "SIZE", "CHANGED", "NAME"], rows))
  })
).pipe(Command.withDescription("List a directory of a workspace"))

const rm = Command.make(
  "rm",
  {
    place,
    recursive: Flag.Boolean("recursive").pipe(
      Flag.withAlias("r"),
      Flag.withDescription("A directory with all that is in it"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { removeFiles } = yield* moving
    const removed = yield* removeFiles(globals, { workspace, path }, given.recursive)
    if (globals.json) yield* write(asJson({ removed }))
  })
).pipe(Command.withDescription("Remove a file of a workspace"))

const stat = Command.make(
  "stat",
  { place },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { showFile } = yield* moving
    const found = yield* showFile(globals, { workspace, path })
    if (globals.json) return yield* write(asJson(found))
    const { ino, type, mode, nlink, uid, gid, size, used, mtime, ctime } = found
    yield* write(
      card([
        ["path", given.place],
        ["type", type],
        ["inode", String(ino)],
        ["mode", octal(mode)],
        ["owner", `${uid}:${gid}`],
        ["links", String(nlink)],
        ["size", `${size} (${bytesText(used)} stored)`],
        ["modified", moment(mtime)],
        ["changed", moment(ctime)]
      ])
    )
  })
).pipe(Command.withDescription("Show what a workspace knows of a file"))

export const fileCommands = [put, get, cat, ls, rm, stat] as const
