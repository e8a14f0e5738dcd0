/** Subjects, patterns and the trie that finds who listens, against the plain definition of matching. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Interest, nextOf } from "../../adapters/nats/broker/interest.ts"
import { covers, isPattern, isSubject, overlaps, tokensOf } from "../../adapters/nats/broker/subjects.ts"

const letters = ["a", "b", "c"]
const literal = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join("."))
const pattern = fc
  .tuple(fc.array(fc.constantFrom(...letters, "*"), { maxLength: 4 }), fc.boolean())
  .filter(([tokens, rest]) => tokens.length > 0 || rest)
  .map(([tokens, rest]) => [...tokens, ...(rest ? [">"] : [])].join("."))

/** The definition, token by token. */
const matches = (wanted: ReadonlyArray<string>, given: ReadonlyArray<string>): boolean => {
  const [first, ...others] = wanted
  if (first === undefined) return given.length === 0
  if (first === ">") return given.length > 0
  const [head, ...tail] = given
  return head !== undefined && (first === "*" || first === head) && matches(others, tail)
}

/** Every subject of up to six tokens over three letters: longer ones can tell these patterns apart no further. */
const universe = (() => {
  const all: Array<ReadonlyArray<string>> = []
  let longest: ReadonlyArray<ReadonlyArray<string>> = [[]]
  for (let length = 1; length <= 6; length++) {
    longest = longest.flatMap((tokens) => letters.map((letter) => [...tokens, letter]))
    all.push(...longest)
  }
  return all
})()

describe("subjects", () => {
  it("has patterns cover and overlap as the sets of what they match do", () => {
    fc.assert(
      fc.property(pattern, pattern, (one, other) => {
        const [a, b] = [tokensOf(one), tokensOf(other)]
        const inA = universe.filter((subject) => matches(a, subject))
        const inB = new Set(universe.filter((subject) => matches(b, subject)))
        expect(overlaps(a, b)).toBe(inA.some((subject) => inB.has(subject)))
        expect(covers(b, a)).toBe(inA.every((subject) => inB.has(subject)))
      }),
      { numRuns: 300 }
    )
  })

  it("tells subjects, patterns and neither apart", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ab*>. \t\u007fé]{0,8}$/), (text) => {
        const tokens = text.split(".")
        const isLawful = tokens.every((token) => token !== "" && !/[\s\u007f]/.test(token))
        const isWild = tokens.some((token) => token === "*" || token === ">")
        const isMisplaced = tokens.slice(0, -1).includes(">")
        expect(isPattern(text)).toBe(isLawful && !isMisplaced)
        expect(isSubject(text)).toBe(isLawful && !isWild)
      }),
      { numRuns: 2000 }
    )
  })
})

describe("interest", () => {
  const step = fc.oneof(
    fc.record({ add: pattern, queue: fc.constantFrom(undefined, undefined, "q", "r") }),
    fc.record({ remove: fc.nat(6) }),
    // Few subjects, so that each is asked for again after something has changed.
    fc.record({ ask: fc.oneof(fc.constantFrom("a", "a.b", "a.b.c"), literal) })
  )

  it("finds who listens, as listeners come and go", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const interest = new Interest<number>()
        let listeners: Array<{ readonly id: number; readonly pattern: string; readonly queue: string | undefined }> = []
        let id = 0
        for (const one of steps) {
          if ("add" in one) {
            listeners.push({ id: id++, pattern: one.add, queue: one.queue })
            interest.add(one.add, one.queue, id - 1)
          } else if ("remove" in one) {
            const gone = listeners[one.remove]
            if (gone === undefined) continue
            listeners = listeners.filter((other) => other !== gone)
            expect(interest.remove(gone.pattern, gone.queue, gone.id)).toBe(true)
            expect(interest.remove(gone.pattern, gone.queue, gone.id)).toBe(false)
          } else {
            const given = one.ask.split(".")
            const wanted = listeners.filter((other) => matches(other.pattern.split("."), given))
            const found = interest.match(one.ask)
            const sorted = (ids: ReadonlyArray<number>) => ids.toSorted((a, b) => a - b)
            const of = (queue: string | undefined) => sorted(wanted.filter((w) => w.queue === queue).map((w) => w.id))
            expect(sorted(found.each)).toEqual(of(undefined))
            const queues = [...new Set(wanted.flatMap((w) => (w.queue === undefined ? [] : [w.queue])))]
            expect(found.groups.map((group) => group.queue).toSorted()).toEqual(queues.toSorted())
            for (const group of found.groups) expect(sorted(group.members)).toEqual(of(group.queue))
          }
          expect(interest.size).toBe(listeners.length)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("gives every member of a group its turn", () => {
    const interest = new Interest<string>()
    for (const member of ["x", "y", "z"]) interest.add("a.>", "q", member)
    const turns = new Map<string, number>()
    for (let n = 0; n < 3000; n++)
      for (const group of interest.match(`a.${n % 10_000}`).groups) {
        const member = nextOf(group)
        turns.set(member, (turns.get(member) ?? 0) + 1)
      }
    expect([...turns.values()]).toEqual([1000, 1000, 1000])
  })
})
