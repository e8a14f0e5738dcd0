/** One who follows a stream by its events, from node to node, and keeps what it has heard in its order. */

interface Heard {
  text: string
  offset: string
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export class Listener {
  readonly heard: Heard = { text: "", offset: "-1" }
  private turn: number
  private isOver = false
  private readonly abort = new AbortController()
  private readonly urls: ReadonlyArray<string>
  private readonly path: string
  readonly done: Promise<void>

  constructor(urls: ReadonlyArray<string>, path: string, turn: number) {
    this.urls = urls
    this.turn = turn
    this.path = path
    this.done = this.run()
  }

  stop(): Promise<void> {
    this.isOver = true
    this.abort.abort()
    return this.done
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      const url = this.urls[this.turn++ % this.urls.length]
      try {
        await this.follow(`${url}${this.path}?offset=${this.heard.offset}&live=sse`)
      } catch {
        // The node was killed: another one goes on from where this one was.
      }
      if (!this.isOver) await sleep(100)
    }
  }

  private async follow(url: string): Promise<void> {
    // What came of an event whose end did not come is sent again.
    this.pending = ""
    const response = await fetch(url, { signal: this.abort.signal })
    if (response.status !== 200 || response.body === null) return void (await response.body?.cancel())
    let text = ""
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        this.take(text.slice(0, end))
        text = text.slice(end + 2)
      }
    }
  }

  private pending = ""

  /** Data counts when the control event behind it says where it ends. */
  private take(event: string): void {
    const [kind = "", ...lines] = event.split("\n")
    const data = lines.map((line) => line.slice("data:".length)).join("\n")
    if (kind === "event: data") {
      this.pending = data
      return
    }
    this.heard.text += this.pending
    this.pending = ""
    this.heard.offset = (JSON.parse(data) as { readonly streamNextOffset: string }).streamNextOffset
  }
}
