/** Tells whoever listens what was committed: of an actor that others follow, all of one commit in one message. */
import type { Placed } from "../../messages/entry.ts"
import { messageBytesMax } from "../../messages/limits.ts"
import { eventsSubject } from "../../messages/subjects.ts"
import type { Bus } from "../ports/bus.ts"
import type { Kind } from "./kind.ts"
import { outboxKind } from "./outbox.ts"
import { publishedText } from "./recent.ts"

/** A character takes three bytes at most, and one entry always goes. */
const textMax = Math.floor(messageBytesMax / 8)

export const publish = (
  bus: Bus["Service"],
  kinds: ReadonlyMap<string, Kind>,
  shard: number,
  placed: ReadonlyArray<Placed>
): void => {
  for (let at = 0; at < placed.length; ) {
    const { position, entry } = placed[at] as Placed
    const { kind, id } = entry
    at += 1
    if (kind === outboxKind.name) continue
    let text = publishedText(position, entry)
    if (kinds.get(kind)?.followed === true) {
      const first = at
      for (; at < placed.length && text.length < textMax; at++) {
        const next = placed[at] as Placed
        if (next.entry.kind !== kind || next.entry.id !== id) break
        text += `,${publishedText(next.position, next.entry)}`
      }
      if (at > first) text = `[${text}]`
    }
    bus.publish(eventsSubject(kind, shard, id), text)
  }
}
