/** Any node tells anybody in which shard an actor lives: what a client needs to know before its first subject. */
import { Effect, Schema } from "effect"
import { shardOf } from "../../messages/subjects.ts"
import type { Bus } from "../ports/bus.ts"

/** `any` stands where a shard's number would: whoever may ask the actor may ask this as well. */
const pattern = "art.v1.ask.*.any.*.*.Where"
export const whereSubject = (kind: string, id: string, caller: string): string =>
  `art.v1.ask.${kind}.any.${id}.${caller}.Where`

/** One of the nodes answers. */
const queue = "where"

const Whereabouts = Schema.Struct({ ok: Schema.Struct({ shard: Schema.Natural, shards: Schema.Natural }) })
const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Whereabouts))

export const tellWhere = (bus: Bus["Service"], shards: number) =>
  bus.subscribe(
    pattern,
    ({ subject, respond }) => {
      const [, , , kind = "", , id = ""] = subject.split(".")
      respond(JSON.stringify({ ok: { shard: shardOf(kind, id, shards), shards } }))
    },
    { queue }
  )

export const askWhere = Effect.fnUntraced(function* (bus: Bus["Service"], subject: string, timeoutMs: number) {
  const { body } = yield* bus.request(subject, { body: "", timeoutMs })
  const { ok } = yield* decode(new TextDecoder().decode(body))
  return ok
})
