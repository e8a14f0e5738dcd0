/** While the tail is lost: names and attributes are asked of the actor, and the kernel keeps nothing of the answers. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { AsyncFiles, Request } from "../ports/mount.ts"
import { query } from "./asking.ts"
import type { Files } from "./files.ts"
import { statOf } from "./stat.ts"

/** What was made here has to be known there. */
const told = ({ ahead }: Files) => ahead?.drained ?? Effect.void

const lookup = Effect.fnUntraced(function* (files: Files, { node: parent, name }: Request<"lookup">) {
  yield* told(files)
  const reply = (yield* query(files, "Lookup", { parent, name })) as { readonly attributes: Attributes }
  const { attributes } = reply
  return { stat: statOf(attributes, files.view.pending.get(attributes.ino)), entryMs: 0, attrMs: 0 }
})

const getattr = Effect.fnUntraced(function* (files: Files, { node: ino }: Request<"getattr">) {
  yield* told(files)
  const reply = (yield* query(files, "Attributes", { ino })) as { readonly attributes: Attributes }
  return { stat: statOf(reply.attributes, files.view.pending.get(ino)), attrMs: 0 }
})

export const stale = (files: Files) =>
  ({
    lookup: (request) => lookup(files, request),
    getattr: (request) => getattr(files, request)
  }) satisfies AsyncFiles
