/** Limits of organisations and buckets: how many streams, bytes and appends a second, kept where requests come in. */
import type { Usage } from "../../../messages/stream-partition.ts"
import type { Partitions } from "../../streams/partitions.ts"
import { sayText } from "./reply.ts"
import type { Asked, Surface } from "./surface.ts"

export interface Limits {
  readonly streams?: number
  readonly bytes?: number
  /** A second, at each node. */
  readonly appends?: number
}

export interface QuotaLimits {
  readonly organisation: Limits
  readonly bucket: Limits
}

export interface Wanted {
  readonly streams: number
  readonly bytes: number
  readonly appends: number
}

export interface Exceeded {
  readonly scope: keyof QuotaLimits
  readonly what: keyof Limits
  readonly max: number
  readonly used: number
}

/** What was counted is believed for so long far from a limit, and for so long close to one. */
const farMs = 1_000
const nearMs = 50
const near = 0.9
/** Scopes are forgotten beyond this, oldest first: they are counted anew. */
const scopesMax = 10_000

/** What one organisation or one bucket has, and what was let in since that was counted. */
class Scope {
  countedAt = Number.NEGATIVE_INFINITY
  used = { streams: 0, bytes: 0 }
  admitted = { streams: 0, bytes: 0 }
  private baseline = { streams: 0, bytes: 0 }
  private allowance = Number.NaN
  private refilledAt = 0

  /** `began` is what had been let in when the counting began: that may be in it. */
  count(used: { readonly streams: number; readonly bytes: number }, began: Scope["baseline"], at: number): void {
    this.used = { ...used }
    this.baseline = began
    this.countedAt = at
  }

  total(what: "streams" | "bytes"): number {
    return this.used[what] + this.admitted[what] - this.baseline[what]
  }

  /** Appends may come in bursts of what is allowed in a second. */
  allows(appends: number, perSecond: number, now: number): boolean {
    if (Number.isNaN(this.allowance)) this.allowance = perSecond
    this.allowance = Math.min(perSecond, this.allowance + ((now - this.refilledAt) / 1000) * perSecond)
    this.refilledAt = now
    // What is more than a second's worth in one request passes when a whole second is saved up.
    return this.allowance >= Math.min(appends, perSecond)
  }

  spend(appends: number): void {
    this.allowance -= appends
  }

  take({ streams, bytes }: Wanted): void {
    this.admitted.streams += streams
    this.admitted.bytes += bytes
  }
}

interface Scoped {
  readonly name: keyof QuotaLimits
  readonly scope: Scope
}

interface Of {
  readonly org: string
  readonly bucket: string
}

export class Quotas {
  readonly limits: QuotaLimits
  private readonly partitions: Partitions
  private readonly scopes = new Map<string, Scope>()
  private readonly counting = new Map<string, Array<() => void>>()

  constructor(limits: QuotaLimits, partitions: Partitions) {
    this.limits = limits
    this.partitions = partitions
  }

  /** Calls back with what is exceeded, or with nothing when it may be done: then it counts as done. */
  admit(of: Of, wanted: Wanted, done: (exceeded?: Exceeded) => void): void {
    const scopes = this.scopesOf(of)
    const decide = (): void => {
      const exceeded = this.exceeded(scopes, wanted)
      if (exceeded === undefined) for (const { scope } of scopes) scope.take(wanted)
      done(exceeded)
    }
    const rate = this.rateExceeded(scopes, wanted)
    if (rate !== undefined) return done(rate)
    // At once: others come while what there is is being counted.
    for (const { scope } of scopes) scope.spend(wanted.appends)
    if (this.isKnown(scopes, wanted)) decide()
    else this.count(of, decide)
  }

  /** For who wants to see them. */
  usage(of: Of, use: (used: Usage) => void): void {
    const [organisation, bucket] = this.scopesOf(of).map(({ scope }) => scope) as [Scope, Scope]
    this.count(of, () => use({ organisation: organisation.used, bucket: bucket.used }))
  }

  private scopesOf({ org, bucket }: Of): ReadonlyArray<Scoped> {
    return [
      { name: "organisation", scope: this.scope(org) },
      { name: "bucket", scope: this.scope(`${org}/${bucket}`) }
    ]
  }

  private scope(key: string): Scope {
    const known = this.scopes.get(key)
    if (known !== undefined) return known
    const made = new Scope()
    if (this.scopes.size >= scopesMax) this.scopes.delete(this.scopes.keys().next().value as string)
    this.scopes.set(key, made)
    return made
  }

  private rateExceeded(scopes: ReadonlyArray<Scoped>, { appends }: Wanted): Exceeded | undefined {
    if (appends === 0) return undefined
    for (const { name, scope } of scopes) {
      const max = this.limits[name].appends
      if (max !== undefined && !scope.allows(appends, max, this.partitions.now()))
        return { scope: name, what: "appends", max, used: max }
    }
    return undefined
  }

  private isKnown(scopes: ReadonlyArray<Scoped>, wanted: Wanted): boolean {
    const now = this.partitions.now()
    return scopes.every(({ name, scope }) => {
      const { streams = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = this.limits[name]
      if (Math.min(streams, bytes) === Number.POSITIVE_INFINITY) return true
      const age = now - scope.countedAt
      const isFar =
        scope.total("streams") + wanted.streams < near * streams && scope.total("bytes") + wanted.bytes < near * bytes
      return age < nearMs || (isFar && age < farMs)
    })
  }

  private exceeded(scopes: ReadonlyArray<Scoped>, wanted: Wanted): Exceeded | undefined {
    for (const { name, scope } of scopes)
      for (const what of ["streams", "bytes"] as const) {
        const max = this.limits[name][what]
        if (max !== undefined && wanted[what] > 0 && scope.total(what) + wanted[what] > max)
          return { scope: name, what, max, used: scope.total(what) }
      }
    return undefined
  }

  /** One count is for all who have come meanwhile. A partition that cannot be asked now counts as it did before. */
  private count(of: Of, done: () => void): void {
    const key = `${of.org}/${of.bucket}`
    const waiting = this.counting.get(key)
    if (waiting !== undefined) {
      waiting.push(() => this.countAgain(of, done))
      return
    }
    this.counting.set(key, [done])
    const scopes = this.scopesOf(of)
    const began = scopes.map(({ scope }) => ({ ...scope.admitted }))
    const sums = { organisation: { streams: 0, bytes: 0 }, bucket: { streams: 0, bytes: 0 } }
    let left = this.partitions.ids.length
    let isWhole = true
    for (const partition of this.partitions.ids.keys())
      this.partitions.ask(partition, { _tag: "ShowUsage", ...of }, "node", (outcome) => {
        if ("ok" in outcome) add(sums, outcome.ok as Usage)
        else isWhole = false
        left -= 1
        if (left > 0) return
        if (isWhole)
          for (const [index, { name, scope }] of scopes.entries())
            scope.count(sums[name], began[index] as Scope["admitted"], this.partitions.now())
        const ready = this.counting.get(key) ?? []
        this.counting.delete(key)
        for (const call of ready) call()
      })
  }

  /** Who came while it was being counted is told what the count says, unless that is old by now. */
  private countAgain(of: Of, done: () => void): void {
    const isFresh = this.scopesOf(of).every(({ scope }) => this.partitions.now() - scope.countedAt < nearMs)
    if (isFresh) done()
    else this.count(of, done)
  }
}

const add = (sums: { [Name in keyof Usage]: { streams: number; bytes: number } }, usage: Usage): void => {
  for (const name of ["organisation", "bucket"] as const) {
    sums[name].streams += usage[name].streams
    sums[name].bytes += usage[name].bytes
  }
}

const units: Readonly<Record<keyof Limits, string>> = {
  streams: "streams",
  bytes: "bytes",
  appends: "appends a second"
}

/** An answer in the form of RFC 9457: too fast is 429, too much is 403. */
export const refuseExceeded = ({ exchange, org, key }: Asked, { scope, what, max, used }: Exceeded): void => {
  const status = what === "appends" ? 429 : 403
  const name = scope === "organisation" ? org : bucketOf(key)
  const body = {
    type: `urn:artifacts:quota:${scope}-${what}`,
    title: "a limit is reached",
    status,
    detail: `the ${scope} ${name} may have ${max} ${units[what]}`,
    ...{ scope, name, limit: what, max, used }
  }
  const headers = status === 429 ? { "retry-after": "1" } : {}
  sayText(exchange, status, { text: JSON.stringify(body), type: "application/problem+json", headers })
}

/** A key is `bucket/name`, behind its organisation where it is not the operator's. */
export const bucketOf = (key: string): string => key.split("/")[key.startsWith("@") ? 1 : 0] ?? ""

/** Goes on when it may be done, and answers otherwise. */
export const admitted = (quotas: Quotas | undefined, asked: Asked, wanted: Wanted, use: () => void): void => {
  if (quotas === undefined) return use()
  quotas.admit({ org: asked.org, bucket: bucketOf(asked.key) }, wanted, (exceeded) => {
    if (exceeded === undefined) use()
    else refuseExceeded(asked, exceeded)
  })
}

/** A stream that is there already is not made again, whatever the limit says. */
export const creating = ({ quotas, partitions }: Surface, asked: Asked, bytes: number, use: () => void): void => {
  if (quotas === undefined) return use()
  const { org, key, caller } = asked
  quotas.admit({ org, bucket: bucketOf(key) }, { streams: 1, appends: 0, bytes }, (exceeded) => {
    if (exceeded === undefined) return use()
    partitions.ask(partitions.of(key), { _tag: "ShowStream", stream: key }, caller, (outcome) => {
      if ("ok" in outcome) use()
      else refuseExceeded(asked, exceeded)
    })
  })
}
