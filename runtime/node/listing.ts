/** `artifacts ls`, `rm` and `stat`: names of a workspace, looked at and taken away. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { Named } from "../cli/file.ts"
import type { Globals } from "../cli/globals.ts"
import { linkTarget, list, resolve } from "../transfer/commands.ts"
import { remove } from "../transfer/files.ts"
import { together } from "../transfer/tree.ts"
import { about, nameOf } from "./count.ts"
import { transferOf } from "./transfer.ts"

export interface Entry {
  readonly name: string
  readonly attributes: Attributes
  /** Where a symbolic link leads. */
  readonly target?: string
}

export const listFiles = (globals: Globals, from: Named, links: boolean) =>
  Effect.gen(function* () {
    const { as } = yield* transferOf(globals, from.workspace, "ro")
    const { attributes, name } = yield* resolve(as, from.path)
    const found = attributes.type === "directory" ? yield* list(as, attributes.ino) : [{ name, attributes }]
    const sorted = found
      .map(({ name: each, attributes: of }): Entry => ({ name: each, attributes: of }))
      .sort((one, other) => (one.name < other.name ? -1 : 1))
    if (!links) return sorted
    return yield* Effect.forEach(
      sorted,
      (each) =>
        each.attributes.type === "symlink"
          ? Effect.map(linkTarget(as, each.attributes.ino), (target): Entry => ({ ...each, target }))
          : Effect.succeed(each),
      { concurrency: together }
    )
  }).pipe(Effect.scoped, Effect.mapError(about(nameOf(from))))

export const removeFiles = (globals: Globals, from: Named, deep: boolean) =>
  Effect.gen(function* () {
    const transfer = yield* transferOf(globals, from.workspace, "rw")
    return yield* remove(transfer, from.path, deep)
  }).pipe(Effect.scoped, Effect.mapError(about(nameOf(from))))

export const showFile = (globals: Globals, from: Named) =>
  Effect.gen(function* () {
    const { as } = yield* transferOf(globals, from.workspace, "ro")
    return (yield* resolve(as, from.path, false)).attributes
  }).pipe(Effect.scoped, Effect.mapError(about(nameOf(from))))
