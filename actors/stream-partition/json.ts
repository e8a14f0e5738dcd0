/** Bodies of JSON streams as readers get them: each message's text and a comma, which is never parsed again. */

export interface Run {
  readonly text: string
  readonly count: number
}

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9

/** Where the top-level messages of a text of `a,b,c` end. The text has been parsed before: it is well-formed. */
const ends = (text: string, countMax: number): Array<number> => {
  const found: Array<number> = []
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) {
      at = stringEnd(text, at)
    } else if (code === 91 || code === 123) depth += 1
    else if (code === 93 || code === 125) depth -= 1
    else if (code === 44 && depth === 0) {
      found.push(at)
      if (found.length === countMax) return found
    }
  }
  return found
}

/** The place of the quote that closes the string that opens here. */
const stringEnd = (text: string, from: number): number => {
  for (let at = from + 1; ; at++) {
    const code = text.charCodeAt(at)
    if (code === 92) at += 1
    else if (code === 34 || at >= text.length) return at
  }
}

/** An array is taken apart, by one level; anything else is one message. */
export const runOf = (body: string): Run | { readonly why: string } => {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) }
  }
  if (!Array.isArray(parsed)) return { text: `${body.trim()},`, count: 1 }
  if (parsed.length === 0) return { text: "", count: 0 }
  let from = 0
  while (isSpace(body.charCodeAt(from))) from += 1
  let to = body.length - 1
  while (isSpace(body.charCodeAt(to))) to -= 1
  return { text: `${body.slice(from + 1, to).trim()},`, count: parsed.length }
}

/** The first so many messages of a run, or undefined when it has fewer. */
export const firstOf = (run: string, count: number): string | undefined => {
  const found = ends(run, count)
  const end = found[count - 1]
  return end === undefined ? undefined : run.slice(0, end + 1)
}
