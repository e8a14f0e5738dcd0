/** The last committed entries of one actor, for followers that missed some of what was published. */
import type { Entry, Position } from "../../messages/entry.ts"

/** A follower that was away for longer than this takes the whole state again. */
const bytesMax = 4 * 1024 * 1024
const entriesMax = 8192

export class Recent {
  private readonly texts: Array<string> = []
  private first = 0
  private bytes = 0
  /** The version of the oldest entry that is kept, or of the next one when none is. */
  from: number

  constructor(version: number) {
    this.from = version + 1
  }

  add(position: Position, entry: Entry): void {
    // It may have begun behind what was still on its way into the log.
    if (entry.version < this.from) return
    const text = publishedText(position, entry)
    this.texts.push(text)
    this.bytes += text.length
    while (this.bytes > bytesMax || this.texts.length - this.first > entriesMax) {
      this.bytes -= (this.texts[this.first] as string).length
      this.texts[this.first] = ""
      this.first += 1
      this.from += 1
    }
    if (this.first > entriesMax) {
      this.texts.splice(0, this.first)
      this.first = 0
    }
  }

  /** The version of the newest entry: the last one that is committed. */
  get last(): number {
    return this.from + this.texts.length - this.first - 1
  }

  /** The entries behind a version, as many as fit into one message; undefined when some of them are forgotten. */
  since(version: number, bytes: number): string | undefined {
    if (version + 1 < this.from) return undefined
    const texts: Array<string> = []
    let size = 0
    let index = this.first + (version + 1 - this.from)
    for (; index < this.texts.length; index++) {
      const text = this.texts[index] as string
      const length = Buffer.byteLength(text)
      if (texts.length > 0 && size + length > bytes) break
      texts.push(text)
      size += length
    }
    return `[${texts.join(",")}]`
  }
}

/** What is published of an entry, and what a follower is given when it asks. */
export const publishedText = (position: Position, entry: Entry): string =>
  `{"version":${entry.version},"position":${position},"at":${entry.at},"caller":"${entry.caller}",` +
  `"cause":${JSON.stringify(entry.cause)},"events":${entry.events}}`
