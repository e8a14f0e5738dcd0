/** Many who listen to one stream: told some at a time, each of them all of it, and in its order. */
import { describe, expect, it } from "vitest"
import type { Listener, News } from "../../runtime/streams/live.ts"
import { Telling } from "../../runtime/streams/telling.ts"

const newsOf = (key: string, end: number): News => ({
  ...{ key, end, closed: false, created: false, over: false },
  made: new Map()
})

const crowd = (count: number) => {
  const heard = Array.from({ length: count }, (): Array<number> => [])
  const listeners = new Set<Listener>(heard.map((own) => (news) => void own.push(news.end)))
  return { heard, listeners }
}

/** A clock that goes on when it is told to. */
const turns = () => {
  const waiting: Array<() => void> = []
  return { later: (work: () => void) => void waiting.push(work), next: () => waiting.shift()?.(), waiting }
}

describe("telling", () => {
  it("lets others have their turn between many, and keeps the order of each", () => {
    const { later, next, waiting } = turns()
    const telling = new Telling(later)
    const { heard, listeners } = crowd(300)
    telling.tell(newsOf("a", 1), listeners)
    expect(heard.filter((own) => own.length === 1)).toHaveLength(128)
    expect([telling.isUnderWay("a"), telling.isUnderWay("b")]).toEqual([true, false])
    telling.tell(newsOf("a", 2), listeners)
    const other = crowd(2)
    telling.tell(newsOf("b", 7), other.listeners)
    expect(other.heard).toEqual([[7], [7]])
    while (waiting.length > 0) next()
    expect(heard.every((own) => own.join() === "1,2")).toBe(true)
    expect(telling.isUnderWay("a")).toBe(false)
  })

  it("tells nobody who has gone, and nobody of what was before they came", () => {
    const { later, next, waiting } = turns()
    const telling = new Telling(later)
    const { heard, listeners } = crowd(200)
    telling.tell(newsOf("a", 1), listeners)
    const gone = [...listeners].at(-1) as Listener
    listeners.delete(gone)
    const late: Array<number> = []
    listeners.add((news) => void late.push(news.end))
    telling.tell(newsOf("a", 2), listeners)
    while (waiting.length > 0) next()
    expect(heard.at(-1)).toEqual([])
    expect(late).toEqual([2])
  })

  it("tells everybody at once where nobody can be come back to", () => {
    const { heard, listeners } = crowd(500)
    new Telling(undefined).tell(newsOf("a", 1), listeners)
    expect(heard.every((own) => own.join() === "1")).toBe(true)
  })
})
