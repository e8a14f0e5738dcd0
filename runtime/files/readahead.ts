/** Guesses what one reader of a file will want next: two places of it that are read one after another are followed. */
import { blockBytesMax } from "../../messages/slices.ts"

/** The kernel reads ahead too, and its requests come out of order by about this much. */
const slackBytes = 2 * 1024 * 1024
const followed = 2

interface Session {
  /** Where the next read is expected. */
  next: number
  /** How far ahead it fetches. */
  window: number
  /** Read in this session, one after another. */
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
  private readonly sessions: Array<Session> = []
  private uses = 0

  constructor(windowMax: number) {
    this.windowMax = windowMax
  }

  private session(offset: number): Session {
    const near = this.sessions.find(({ next }) => Math.abs(offset - next) <= slackBytes)
    if (near !== undefined) return near
    if (this.sessions.length >= followed) {
      this.sessions.sort((a, b) => b.usedAt - a.usedAt)
      this.sessions.pop()
    }
    // Who begins at the beginning mostly goes on; who jumps into the middle has to show it.
    const window = offset === 0 ? Math.min(blockBytesMax, this.windowMax) : 0
    const fresh = { next: offset, window, bytes: 0, reached: offset, usedAt: 0 }
    this.sessions.push(fresh)
    return fresh
  }

  /** What to fetch behind this read, if anything. With `pressure` there is no room for much. */
  observe(offset: number, length: number, pressure: boolean): Ahead | undefined {
    const session = this.session(offset)
    session.usedAt = ++this.uses
    session.next = Math.max(session.next, offset + length)
    session.bytes += length
    if (pressure) session.window = Math.floor(session.window / 2)
    else if (session.window === 0) session.window = session.bytes > length ? Math.min(blockBytesMax, this.windowMax) : 0
    else if (session.bytes >= session.window) session.window = Math.min(session.window * 2, this.windowMax)
    const from = Math.max(session.reached, session.next)
    const to = session.next + session.window
    // A block at a time, or what there is of a small window: asking for a plan has its price too.
    if (to - from < Math.min(blockBytesMax, session.window / 2) || to <= from) return undefined
    session.reached = to
    return { from, to }
  }
}
