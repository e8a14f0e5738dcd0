/** Long-polls: an answer as soon as there is something behind the offset, or when the wait is over. */
import { offsetText } from "../../../messages/stream.ts"
import type { News } from "../../streams/live.ts"
import { isSheet, open, type Sheet } from "../../streams/open.ts"
import { cursorAfter } from "./cursor.ts"
import { reply } from "./reply.ts"
import { isAtEnd, type Place, refuseOpened, sendSheet, touch, whenCommitted } from "./sheet.ts"
import type { Asked, Surface } from "./surface.ts"

/** A stream whose news do not come here at the moment is asked for again so often. */
export const pollMs = 100

export const longPoll = (surface: Surface, asked: Asked, place: Place): void => {
  const cursor = asked.exchange.url.searchParams.get("cursor") ?? undefined
  const poll: Poll = { surface, asked, place, cursor, until: surface.partitions.now() + surface.options.longPollMs }
  open(surface.partitions, asked.key, { from: place.from }, (opened) => {
    if (!isSheet(opened)) return refuseOpened(asked, opened)
    touch(surface, asked, opened)
    settle(poll, opened)
  })
}

interface Poll {
  readonly surface: Surface
  readonly asked: Asked
  readonly place: Place
  readonly cursor: string | undefined
  readonly until: number
}

/** What is there is sent; else the wait begins. */
const settle = (poll: Poll, sheet: Sheet): void => {
  const { surface, asked } = poll
  if (sheet.parts.length > 0 || sheet.closed) return whenCommitted(surface, asked, sheet, () => send(poll, sheet))
  if (poll.surface.partitions.now() >= poll.until) return whenCommitted(surface, asked, sheet, () => send(poll, sheet))
  wait(poll, sheet)
}

const send = ({ surface, asked, place, cursor }: Poll, sheet: Sheet): void => {
  const isOver = sheet.closed && isAtEnd(sheet)
  const live = isOver ? {} : { "stream-cursor": cursorAfter(cursor, surface.partitions.now()) }
  if (sheet.parts.length > 0) return sendSheet(surface, asked, sheet, { place: { ...place, isNow: false }, live })
  reply(asked.exchange, 204, {
    "stream-next-offset": offsetText(sheet.next),
    "stream-up-to-date": "true",
    "cache-control": "no-store",
    ...live,
    ...(isOver && { "stream-closed": "true" })
  })
}

const wait = (poll: Poll, sheet: Sheet): void => {
  const { surface, asked } = poll
  const { partitions } = surface
  const position = sheet.next
  const end = (): void => {
    stop()
    clearTimeout(timer)
  }
  const again = (to?: number): void => {
    end()
    open(partitions, asked.key, { from: position, ...(to !== undefined && { to }) }, (opened) => {
      if (!isSheet(opened)) return refuseOpened(asked, opened)
      if (to === undefined || !opened.isHeard) return settle(poll, opened)
      // The news say what is committed: nothing has to be waited for, and nothing behind it is told.
      send(poll, opened.next === opened.tail ? opened : { ...opened, tail: to, closed: false })
    })
  }
  const hear = (news: News): void => {
    if (news.over) return again()
    if (news.end > position) again(news.end)
    else if (news.closed) again()
  }
  const stop = surface.live.listen(asked.key, hear)
  const left = Math.max(0, poll.until - partitions.now())
  const pause = !sheet.isHeard ? Math.min(left, pollMs) : left
  const timer = setTimeout(() => again(), pause)
  asked.onGone(end)
}
