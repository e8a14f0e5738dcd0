/** Which subscriptions follow a stream: found out once for each stream, for every append to it asks. */
import type { EventOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Followed } from "./followed.ts"

export type Interested = ReadonlyArray<readonly [id: string, followed: Followed]>

/** Streams that are appended to while subscriptions stay as they are; beyond this it is found out anew. */
const pathsMax = 10_000

export class Interest {
  private readonly all: ReadonlyMap<string, Followed>
  private readonly byPath = new Map<string, Interested>()

  constructor(all: ReadonlyMap<string, Followed>) {
    this.all = all
  }

  in(path: string): Interested {
    const known = this.byPath.get(path)
    if (known !== undefined) return known
    const found = [...this.all].filter(([, followed]) => followed.matches(path))
    if (this.byPath.size >= pathsMax) this.byPath.clear()
    this.byPath.set(path, found)
    return found
  }

  /** A subscription has come, gone, or follows other streams than before. */
  changed(): void {
    this.byPath.clear()
  }
}

/** Whether a subscription follows other streams after this. */
export const changesLinks = (event: EventOf<StreamPartition>): boolean =>
  event._tag === "StreamsLinked" ||
  event._tag === "StreamUnlinked" ||
  event._tag === "SubscriptionPut" ||
  event._tag === "SubscriptionDeleted" ||
  (event._tag === "SubscriptionWoken" && event.links.length > 0)
