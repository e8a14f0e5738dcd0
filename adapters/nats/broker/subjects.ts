/** What a subject is, and how patterns with `*` and `>` relate to subjects and to each other. */

const space = 0x20
const star = 0x2a
const dot = 0x2e
const greater = 0x3e
const del = 0x7f

/**
 * 0: no subject at all; 1: a subject that can be published to; 2: a pattern, for subscribing only. A wildcard counts
 * only as a whole token; inside of a longer one it is a letter like any other, as it is for NATS.
 */
export const subjectForm = (subject: string): 0 | 1 | 2 => {
  const length = subject.length
  if (length === 0) return 0
  let wild = false
  let start = 0
  for (let at = 0; at <= length; at++) {
    const code = at === length ? dot : subject.charCodeAt(at)
    if (code <= space || code === del) return 0
    if (code !== dot) continue
    if (at === start) return 0
    if (at === start + 1) {
      const only = subject.charCodeAt(start)
      if (only === star) wild = true
      else if (only === greater) {
        if (at !== length) return 0
        wild = true
      }
    }
    start = at + 1
  }
  return wild ? 2 : 1
}

export const isSubject = (subject: string): boolean => subjectForm(subject) === 1
export const isPattern = (subject: string): boolean => subjectForm(subject) !== 0

/** A pattern cut into its tokens once, to be compared many times. */
export type Tokens = ReadonlyArray<string>
export const tokensOf = (subject: string): Tokens => subject.split(".")

/** Whether everything that `inner` can match is matched by `outer` too. */
export const covers = (outer: Tokens, inner: Tokens): boolean => {
  for (let at = 0; at < outer.length; at++) {
    const wanted = outer[at]
    const given = inner[at]
    if (given === undefined) return false
    if (wanted === ">") return true
    if (given === ">") return false
    if (wanted !== "*" && wanted !== given) return false
  }
  return outer.length === inner.length
}

/** Whether some subject is matched by both. */
export const overlaps = (one: Tokens, other: Tokens): boolean => {
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) {
    const a = one[at]
    const b = other[at]
    if (a === ">" || b === ">") return true
    if (a !== "*" && b !== "*" && a !== b) return false
  }
  return one.length === other.length
}
