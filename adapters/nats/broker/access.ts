/** The permissions of one connection, asked for every message: what was decided lately is remembered. */
import type { Allowance, Permissions } from "../permissions.ts"
import { covers, overlaps, subjectForm, type Tokens, tokensOf } from "./subjects.ts"

/** How a publish is answered: it passes, the permissions forbid it, or the subject is none. */
export const passes = 0
export const forbidden = 1
export const invalid = 2
export type Verdict = typeof passes | typeof forbidden | typeof invalid

interface Rule {
  readonly tokens: Tokens
  /** A subscribe rule may hold for one queue group alone: `subject queue`. */
  readonly queue: string | undefined
}

interface Rules {
  readonly allow: ReadonlyArray<Rule> | undefined
  readonly deny: ReadonlyArray<Rule>
}

/** Past this many different subjects the verdicts are worked out anew; it bounds what one connection costs. */
const verdictsMax = 1024
/** Replies that a connection still owes; past this the oldest can no longer be given. */
const owedMax = 65_536

const ruleOf = (text: string): Rule => {
  const [subject, queue] = text.split(" ")
  return { tokens: tokensOf(subject as string), queue }
}
const rulesOf = (allowance: Allowance | undefined): Rules => ({
  allow: allowance?.allow?.map(ruleOf),
  deny: (allowance?.deny ?? []).map(ruleOf)
})

const appliesTo = (rule: Rule, queue: string | undefined): boolean =>
  rule.queue === undefined || (queue !== undefined && covers(tokensOf(rule.queue), tokensOf(queue)))

export class Access {
  readonly #publish: Rules
  readonly #subscribe: Rules
  readonly #verdicts = new Map<string, Verdict>()
  readonly #responses: Permissions["responses"]
  readonly #owed = new Map<string, { left: number; readonly until: number }>()
  readonly #now: () => number

  constructor(permissions: Permissions, now: () => number) {
    this.#publish = rulesOf(permissions.publish)
    this.#subscribe = rulesOf(permissions.subscribe)
    this.#responses = permissions.responses
    this.#now = now
  }

  /** Whether this connection answers by a permission that comes with each request. */
  get owesReplies(): boolean {
    return this.#responses !== undefined
  }

  publish(subject: string): Verdict {
    const known = this.#verdicts.get(subject)
    const verdict = known ?? this.#decide(subject)
    if (verdict === forbidden && this.#responses !== undefined && this.#spend(subject)) return passes
    return verdict
  }

  #decide(subject: string): Verdict {
    const verdict = subjectForm(subject) !== 1 ? invalid : this.#permits(tokensOf(subject)) ? passes : forbidden
    if (this.#verdicts.size >= verdictsMax) this.#verdicts.clear()
    this.#verdicts.set(subject, verdict)
    return verdict
  }

  #permits(subject: Tokens): boolean {
    const { allow, deny } = this.#publish
    if (deny.some((rule) => covers(rule.tokens, subject))) return false
    return allow === undefined || allow.some((rule) => covers(rule.tokens, subject))
  }

  /** `partly` when some of what the pattern matches is denied: then each message is asked for with `hears`. */
  subscribe(pattern: string, queue: string | undefined): "all" | "partly" | "none" {
    const tokens = tokensOf(pattern)
    const { allow, deny } = this.#subscribe
    if (allow !== undefined && !allow.some((rule) => appliesTo(rule, queue) && covers(rule.tokens, tokens)))
      return "none"
    const denying = deny.filter((rule) => appliesTo(rule, queue))
    if (denying.some((rule) => covers(rule.tokens, tokens))) return "none"
    return denying.some((rule) => overlaps(rule.tokens, tokens)) ? "partly" : "all"
  }

  hears(subject: string, queue: string | undefined): boolean {
    const tokens = tokensOf(subject)
    return !this.#subscribe.deny.some((rule) => appliesTo(rule, queue) && covers(rule.tokens, tokens))
  }

  /** A request was handed to this connection: it may answer it. */
  owe(reply: string): void {
    if (this.#responses === undefined) return
    if (this.#owed.size >= owedMax) this.#owed.delete(this.#owed.keys().next().value as string)
    const { max, ttlMs } = this.#responses
    this.#owed.set(reply, {
      left: max > 0 ? max : Number.POSITIVE_INFINITY,
      until: ttlMs > 0 ? this.#now() + ttlMs : Number.POSITIVE_INFINITY
    })
  }

  #spend(reply: string): boolean {
    const owed = this.#owed.get(reply)
    if (owed === undefined) return false
    owed.left--
    const isInTime = this.#now() <= owed.until
    if (owed.left <= 0 || !isInTime) this.#owed.delete(reply)
    return isInTime
  }
}
