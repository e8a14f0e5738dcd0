/** The notice that a node leaves in its data directory, so that commands on this host find it. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Option, Schema, type Scope } from "effect"
import { readText, writeWhole } from "./files.ts"

export const Notice = Schema.Struct({
  pid: Schema.Natural,
  node: Schema.String,
  version: Schema.String,
  nats: Schema.String,
  http: Schema.String,
  shards: Schema.Natural
})
export type Notice = typeof Notice.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Notice))
const fileOf = (data: string): string => join(data, "node.json")

/** A node that was killed leaves its notice behind: it says where a node was, not that one is there. */
export const readNotice = (data: string): Notice | undefined =>
  Option.getOrUndefined(decode(readText(fileOf(data)) ?? ""))

export const leaveNotice = (data: string, notice: Notice): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => writeWhole(fileOf(data), `${JSON.stringify(notice, null, 2)}\n`)),
      () => Effect.sync(() => rmSync(fileOf(data), { force: true }))
    )
  )
