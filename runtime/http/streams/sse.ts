/** Event streams: first what is there, then each commit in its own turn, from one buffer for all who listen. */
import { Effect } from "effect"
import type { News } from "../../streams/live.ts"
import { isSheet, open, type Sheet } from "../../streams/open.ts"
import { isInMemory } from "../../streams/store.ts"
import { cursorAfter } from "./cursor.ts"
import { type Chunk, type Coding, chunkOf, codingOf, controlFrame, dataFrame } from "./frames.ts"
import { pollMs } from "./longpoll.ts"
import { head } from "./reply.ts"
import { isAtEnd, type Place, refuseOpened, touch, whenCommitted } from "./sheet.ts"
import type { Asked, Surface } from "./surface.ts"

/** What may wait in a connection that is not being read; more is read again from the stream when it has been. */
const pendingBytesMax = 1024 * 1024
/** One data event of what has been there before. */
const catchUpBytesMax = 256 * 1024
/** Who does not read anything for so long is cut off. */
const stalledMs = 30_000

export const sse = (surface: Surface, asked: Asked, place: Place): void => {
  const { exchange, key } = asked
  open(surface.partitions, key, { from: place.from, bytesMax: catchUpBytesMax }, (opened) => {
    if (!isSheet(opened)) return refuseOpened(asked, opened)
    whenCommitted(surface, asked, opened, () => {
      const coding = codingOf(opened.contentType)
      head(exchange.response, 200, {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        ...(coding === "base64" && { "stream-sse-data-encoding": "base64" })
      })
      exchange.response.flushHeaders()
      touch(surface, asked, opened)
      new Subscriber(surface, asked, coding).start(opened)
    })
  })
}

class Subscriber {
  private position = 0
  /** Something is being read for it: news are not for it now, for it looks again when that has been sent. */
  private isBusy = true
  private isOver = false
  private cursor: string | undefined
  private sentAt: number
  private readonly timers: Array<NodeJS.Timeout> = []
  private readonly surface: Surface
  private readonly asked: Asked
  private readonly coding: Coding
  private readonly stop: () => void

  constructor(surface: Surface, asked: Asked, coding: Coding) {
    this.surface = surface
    this.asked = asked
    this.coding = coding
    this.cursor = asked.exchange.url.searchParams.get("cursor") ?? undefined
    this.sentAt = surface.partitions.now()
    this.stop = surface.live.listen(asked.key, (news) => this.hear(news))
    asked.onGone(() => this.leave())
  }

  start(sheet: Sheet): void {
    const { keepAliveMs, sseMs } = this.surface.options
    this.timers.push(setInterval(() => this.keepAlive(), keepAliveMs))
    this.timers.push(setTimeout(() => this.end(), sseMs))
    if (!sheet.isHeard) this.timers.push(setInterval(() => this.poll(), pollMs))
    this.send(sheet, true)
  }

  private get response() {
    return this.asked.exchange.response
  }

  private leave(): void {
    this.isOver = true
    this.stop()
    for (const timer of this.timers) clearTimeout(timer)
  }

  private end(): void {
    if (this.isOver) return
    this.leave()
    this.response.end()
  }

  private hear(news: News): void {
    if (this.isOver) return
    if (news.over) return this.end()
    if (this.isBusy || (news.end <= this.position && !news.closed)) return
    if (this.pending > pendingBytesMax) return this.pause()
    // Whoever stands at the same place with the same cursor gets the same bytes.
    const name = `${this.position}:${this.cursorNow()}`
    const made = news.made.get(name) as Chunk | undefined
    if (made === undefined) return this.deliver(news, name)
    this.position = news.end
    this.write(made)
    if (news.closed) this.end()
  }

  /** The first who hears of a commit makes the frames of it for all. */
  private deliver(news: News, name: string): void {
    const to = Math.max(news.end, this.position)
    const { partitions } = this.surface
    // Where it has to be fetched first, the next news must not send it a second time.
    this.isBusy = true
    let isAtOnce = true
    open(partitions, this.asked.key, { from: this.position, to }, (opened) => {
      this.isBusy = false
      if (this.isOver) return
      if (!isAtOnce) return this.resume()
      if (!isSheet(opened)) return this.end()
      if (opened.next !== to || !isInMemory(opened.parts)) return this.resume()
      const isClosed = news.closed
      const control = { next: to, cursor: this.cursorNow(), isUpToDate: true, isClosed }
      const data = opened.parts.length === 0 ? [] : dataFrame(this.coding, opened.parts)
      const frames = chunkOf([...data, controlFrame(control)])
      if (news.end >= 0) news.made.set(name, frames)
      this.position = to
      this.write(frames)
      if (isClosed) this.end()
    })
    isAtOnce = false
  }

  /** What is on its way must not be asked for a second time: it would be sent twice. */
  private poll(): void {
    if (!this.isBusy) this.resume()
  }

  /** Reads on from where it stands: after a pause, or when what there is was too much for one event. */
  private resume(): void {
    if (this.isOver) return
    this.isBusy = true
    const range = { from: this.position, bytesMax: catchUpBytesMax }
    open(this.surface.partitions, this.asked.key, range, (opened) => {
      if (!isSheet(opened)) return this.end()
      if (opened.parts.length === 0 && !opened.closed) {
        this.isBusy = false
        return
      }
      if (opened.here === undefined) return this.send(opened, false)
      this.surface.partitions.settled(opened.here, (isCommitted) => {
        if (isCommitted) this.send(opened, false)
        else this.end()
      })
    })
  }

  private send(sheet: Sheet, isFirst: boolean): void {
    const { parts } = sheet
    if (isInMemory(parts)) return this.sendParts(sheet, parts, isFirst)
    this.asked.run(
      this.surface.store.bytesOf(parts).pipe(
        Effect.map((bytes) => this.sendParts(sheet, bytes, isFirst)),
        // The reader comes back to where it stood.
        Effect.catch((error) =>
          Effect.andThen(
            Effect.logWarning("an event stream ends, for its data cannot be read", error),
            Effect.sync(() => this.end())
          )
        )
      )
    )
  }

  private sendParts(sheet: Sheet, parts: ReadonlyArray<Buffer>, isFirst: boolean): void {
    if (this.isOver) return
    const isUpToDate = isAtEnd(sheet)
    const isClosed = sheet.closed && isUpToDate
    this.position = sheet.next
    if (parts.length > 0 || isFirst || isClosed) {
      const control = { next: sheet.next, cursor: this.cursorNow(), isUpToDate, isClosed }
      const data = parts.length === 0 ? [] : dataFrame(this.coding, parts)
      this.write(chunkOf([...data, controlFrame(control)]))
    }
    if (isClosed) return this.end()
    if (this.pending > pendingBytesMax) return this.pause()
    // Something may have been committed while it was not listening.
    this.resume()
  }

  private pause(): void {
    this.isBusy = true
    const { response } = this
    const cut = setTimeout(() => response.destroy(), stalledMs)
    this.timers.push(cut)
    const drained = (): void => {
      clearTimeout(cut)
      this.resume()
    }
    if (response.socket === null || this.pending === 0) drained()
    else response.socket.once("drain", drained)
  }

  /** What waits in the response and in its connection. */
  private get pending(): number {
    return this.response.writableLength
  }

  /**
   * The connection is given the chunk as it is, for all who listen get the same one: framed by the response it would
   * cost each of them three buffers. A client of HTTP/1.0 takes no chunks.
   */
  private write({ framed, bare }: Chunk): void {
    this.sentAt = this.surface.partitions.now()
    const { response } = this
    const { socket } = response
    const isRaw = response.chunkedEncoding && socket !== null
    const to = isRaw ? socket : response
    const parts = isRaw ? framed : bare
    if (parts.length === 1) {
      to.write(parts[0] as Buffer)
      return
    }
    to.cork()
    for (const part of parts) to.write(part)
    to.uncork()
  }

  private cursorNow(): string {
    return cursorAfter(this.cursor, this.surface.partitions.now())
  }

  private keepAlive(): void {
    const { partitions, options, live } = this.surface
    if (this.isBusy || partitions.now() - this.sentAt < options.keepAliveMs) return
    // It is not up to date, and is about to be.
    if (live.isTelling(this.asked.key)) return
    const control = { next: this.position, cursor: this.cursorNow(), isUpToDate: true, isClosed: false }
    this.write(chunkOf([controlFrame(control)]))
  }
}
