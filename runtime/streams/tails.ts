/** Publishes what is committed on a subject for each stream: live records for whoever listens on the bus. */

import type { EventOf } from "../../messages/protocol.ts"
import { isJsonType, offsetText, partitionKind, tailSubject } from "../../messages/stream.ts"
import type { StreamPartition, Wire } from "../../messages/stream-partition.ts"
import type { Heard } from "../actor/owner.ts"
import type { Bus, Headers } from "../ports/bus.ts"

type Event = EventOf<StreamPartition>

/** What is larger is announced without its bytes: headers and framing have to fit into a message beside them. */
const bodyBytesMax = 512 * 1024

const bodyOf = ({ text, base64, size }: Wire, isJson: boolean): Buffer | string | undefined => {
  if (size > bodyBytesMax) return undefined
  // Messages of a JSON stream are kept with a comma behind each.
  if (text !== undefined) return isJson ? `[${text.slice(0, -1)}]` : text
  return base64 === undefined ? undefined : Buffer.from(base64, "base64")
}

/** `typeOf` gives a stream's content type, in the turn of its commit. */
export const tails = (bus: Bus["Service"], typeOf: (shard: number, key: string) => string | undefined): Heard => {
  const publish = (shard: number, event: Event): void => {
    if (event._tag === "StreamClosed") return bus.publish(tailSubject(event.stream), "", { "Stream-Closed": "true" })
    if (event._tag !== "Appended") return
    const { stream, from, wire } = event
    const contentType = typeOf(shard, stream) ?? "application/octet-stream"
    const body = bodyOf(wire, isJsonType(contentType))
    const headers: Headers = {
      "Content-Type": contentType,
      "Stream-Offset": offsetText(from),
      "Stream-Next-Offset": offsetText(from + wire.size),
      ...(body === undefined && { "Stream-Omitted": "true" })
    }
    bus.publish(tailSubject(stream), body ?? "", headers)
  }
  return (shard, placed, batch) => {
    for (const [index, { entry }] of placed.entries())
      if (entry.kind === partitionKind)
        for (const event of batch.events[index] as ReadonlyArray<Event>) publish(shard, event)
  }
}
