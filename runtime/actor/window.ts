/** The answers that an actor gave lately, so that a retried command is answered and not applied again. */
import { windowAnswersMax, windowBytesMax } from "../../messages/limits.ts"

/** The caller under which an outbox sends; no credential allows a connection to use it from outside. */
export const outboxCaller = "outbox"

/** An outbox sends in the order of its log, so the last place heard of per source is enough to know every duplicate. */
export const outboxId = (shard: number, position: number, index: number): string => `out:${shard}:${position}:${index}`

const parseOutboxId = (id: string) => {
  const [out, source, position, index] = id.split(":")
  if (out !== "out" || source === undefined) return undefined
  return { source, position: Number(position), index: Number(index) }
}

export interface SavedWindow {
  readonly answers: ReadonlyArray<readonly [string, string]>
  readonly sources: ReadonlyArray<readonly [string, number, number]>
}

/** No caller can hear another one's answers, or be given one in place of its own, by guessing an id. */
const keyOf = (commandId: string, caller: string): string => `${caller} ${commandId}`

/** What is looked for is mostly remembered next: the same text need not be made and hashed again. */
class LastKey {
  private commandId = ""
  private caller = ""
  private key = " "

  of(commandId: string, caller: string): string {
    if (commandId === this.commandId && caller === this.caller) return this.key
    this.commandId = commandId
    this.caller = caller
    this.key = keyOf(commandId, caller)
    return this.key
  }
}

export class Window {
  /** By caller and command id. */
  private readonly answers = new Map<string, string>()
  private readonly sources = new Map<string, { readonly position: number; readonly index: number }>()
  private bytes = 0
  private readonly last = new LastKey()

  /** The reply given before, as JSON; undefined when the command is new. */
  find(commandId: string, caller: string): string | undefined {
    if (caller !== outboxCaller) return this.answers.get(this.last.of(commandId, caller))
    const sent = parseOutboxId(commandId)
    const last = sent && this.sources.get(sent.source)
    if (sent === undefined || last === undefined) return undefined
    const old = sent.position < last.position || (sent.position === last.position && sent.index <= last.index)
    return old ? "{}" : undefined
  }

  remember(commandId: string, caller: string, reply: string): void {
    if (caller === outboxCaller) {
      const sent = parseOutboxId(commandId)
      if (sent !== undefined) this.sources.set(sent.source, sent)
      return
    }
    this.keep(this.last.of(commandId, caller), reply)
  }

  private keep(key: string, reply: string): void {
    const before = this.answers.get(key)
    if (before !== undefined) this.bytes -= key.length + before.length
    this.answers.set(key, reply)
    this.bytes += key.length + reply.length
    while (this.answers.size > windowAnswersMax || (this.bytes > windowBytesMax && this.answers.size > 1)) {
      const [oldest, text] = this.answers.entries().next().value as [string, string]
      this.answers.delete(oldest)
      this.bytes -= oldest.length + text.length
    }
  }

  save(): SavedWindow {
    return {
      answers: [...this.answers],
      sources: [...this.sources].map(([source, { position, index }]) => [source, position, index] as const)
    }
  }

  static load(saved: SavedWindow): Window {
    const window = new Window()
    for (const [key, reply] of saved.answers) window.keep(key, reply)
    for (const [source, position, index] of saved.sources) window.sources.set(source, { position, index })
    return window
  }
}
