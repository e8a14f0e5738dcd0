/** `artifacts put`, `get`, `cat`, `ls`, `rm` and `stat`: files of a workspace without a mount. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Moved } from "../node/count.ts"
import { readGlobals } from "./globals.ts"
import { asJson, card, printable, table, write } from "./print.ts"
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

const putting = Effect.promise(() => import("../node/putting.ts"))
const getting = Effect.promise(() => import("../node/getting.ts"))
const listing = Effect.promise(() => import("../node/listing.ts"))

const deep = (description: string) =>
  Flag.Boolean("recursive").pipe(Flag.withAlias("r"), Flag.withDescription(description), Flag.withDefault(false))

/** What was left where it was is said, for it was asked for. */
const told = ({ skipped, ...moved }: Moved, asksJson: boolean) =>
  Effect.gen(function* () {
    if (asksJson) return yield* write(asJson({ ...moved, skipped }))
    if (skipped.length > 0)
      process.stderr.write(`artifacts: no files, and left out: ${skipped.map((path) => printable(path)).join(", ")}\n`)
  })

const put = Command.make(
  "put",
  {
    paths: Argument.String("FILE... WORKSPACE:PATH").pipe(
      Argument.withDescription("Files of this host, or - for the standard input; and where they go"),
      Argument.variadic({ min: 2 })
    ),
    recursive: deep("Directories with all that is in them")
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const to = yield* named(given.paths.at(-1) ?? "")
    const { putFiles } = yield* putting
    yield* told(yield* putFiles(globals, given.paths.slice(0, -1), to, given.recursive), globals.json)
  })
).pipe(Command.withDescription("Store files of this host in a workspace, as cp does; each appears whole"))

const get = Command.make(
  "get",
  { place, local: local.pipe(Argument.optional), recursive: deep("A directory with all that is in it") },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const from = yield* named(given.place)
    const { getFiles } = yield* getting
    const moved = yield* getFiles(globals, from, Option.getOrUndefined(given.local), given.recursive)
    // The standard output is the file's own.
    if (Option.getOrUndefined(given.local) !== "-") yield* told(moved, globals.json)
  })
).pipe(Command.withDescription("Bring files of a workspace to this host, as cp does; each appears whole"))

const cat = Command.make(
  "cat",
  { place },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const from = yield* named(given.place)
    const { getFiles } = yield* getting
    yield* getFiles(globals, from, "-", false)
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
      Flag.withDescription("With type, mode, links, owner, size and time"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { listFiles } = yield* listing
    const found = yield* listFiles(globals, { workspace, path }, given.long || globals.json)
    if (globals.json) return yield* write(asJson(found))
    if (found.length === 0) return
    if (!given.long) return yield* write(found.map(({ name }) => printable(name)).join("\n"))
    const rows = found.map(({ name, attributes, target }) => [
      ...[attributes.type, octal(attributes.mode), String(attributes.nlink), `${attributes.uid}:${attributes.gid}`],
      ...[bytesText(attributes.size), moment(attributes.mtime), target === undefined ? name : `${name} -> ${target}`]
    ])
    yield* write(table(["TYPE", "MODE", "LINKS", "OWNER", "SIZE", "CHANGED", "NAME"], rows))
  })
).pipe(Command.withDescription("List a directory of a workspace"))

const rm = Command.make(
  "rm",
  {
    place,
    recursive: deep("A directory with all that is in it")
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { workspace, path } = yield* named(given.place)
    const { removeFiles } = yield* listing
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
    const { showFile } = yield* listing
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
