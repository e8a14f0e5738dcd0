/** Guesses what one reader of a file will want next: two places of it that are read one after another are followed. */
import { blockBytesMax } from "../../messages/chunks.ts"

/** The kernel reads ahead too, and its requests come out of order by about this much. */
const slackBytes = 2 * 1024 * 1024
const followed = 2

interface Followed {
  /** Where the next read is expected. */
  next: number
  /** How far ahead it fetches. */
  window: number
  /** Read here, one after another. */
  bytes: number
  /** Fetched up to here. */
  reached: number
  usedAt: number
}

export interface Ahead {
  readonly from: number
  readonly to: number
}

export class ReadAhead {
  private readonly windowMax: number
  private readonly places: Array<Followed> = []
  private uses = 0

  constructor(windowMax: number) {
    this.windowMax = windowMax
  }

  private placeOf(offset: number): Followed {
    const near = this.places.find(({ next }) => Math.abs(offset - next) <= slackBytes)
    if (near !== undefined) return near
    if (this.places.length >= followed) {
      this.places.sort((a, b) => b.usedAt - a.usedAt)
      this.places.pop()
    }
    // Who begins at the beginning mostly goes on; who jumps into the middle has to show it.
    const window = offset === 0 ? Math.min(blockBytesMax, this.windowMax) : 0
    const fresh = { next: offset, window, bytes: 0, reached: offset, usedAt: 0 }
    this.places.push(fresh)
    return fresh
  }

  /** What to fetch behind this read, if anything. With `pressure` there is no room for much. */
  observe(offset: number, length: number, pressure: boolean): Ahead | undefined {
    const place = this.placeOf(offset)
    place.usedAt = ++this.uses
    place.next = Math.max(place.next, offset + length)
    place.bytes += length
    if (pressure) place.window = Math.floor(place.window / 2)
    else if (place.window === 0) place.window = place.bytes > length ? Math.min(blockBytesMax, this.windowMax) : 0
    else if (place.bytes >= place.window) place.window = Math.min(place.window * 2, this.windowMax)
    const from = Math.max(place.reached, place.next)
    const to = place.next + place.window
    // A block at a time, or what there is of a small window: asking for a plan has its price too.
    if (to - from < Math.min(blockBytesMax, place.window / 2) || to <= from) return undefined
    place.reached = to
    return { from, to }
  }
}
