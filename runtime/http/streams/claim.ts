/** Work on a subscription over HTTP: claimed, acknowledged and given back. */
import type { Fenced } from "../../../messages/fence.ts"
import { parseOffset } from "../../../messages/stream.ts"
import type { Link, Mark, Wake } from "../../../messages/subscription.ts"
import { endEarlier } from "../../streams/fences.ts"
import { tokenIn } from "../bearer.ts"
import { fenceText } from "./fence.ts"
import { ownId, pathIn, tokenOf } from "./organisation.ts"
import { refuseOutcome, sayJson } from "./reply.ts"
import { type Acked, body, type Control, done, fail, type Handler, linkText, send } from "./subscription.ts"
import { markText } from "./webhook.ts"

export const claim: Handler = (at) =>
  body(at, "claim", ({ worker }) => {
    const token = tokenOf(at.asked.org, at.surface.secret())
    const wakeId = `w_${at.surface.secret()}`
    at.surface.subscriptions.work(at.id, at.partition, (tails) =>
      send(at, { _tag: "ClaimSubscription", id: at.id, worker, wakeId, token, tails }, (ok) => {
        const claimed = ok as Claimed
        // Whoever held it before can append nothing more, wherever that was: then it is this worker's.
        ended(at, claimed.fenced, () => sayJson(at.asked.exchange, 200, claimText(at.id, claimed, token)))
      })
    )
  })

interface Claimed {
  readonly wake: Wake
  readonly links: ReadonlyArray<Link>
  readonly leaseMs: number
  readonly fenced?: Fenced
}

const claimText = (id: string, { wake, links, leaseMs }: Claimed, token: string) => {
  const { wakeId, generation } = wake
  const known = new Map(links.map((each) => [each.path, each]))
  return {
    wake_id: wakeId,
    generation,
    token,
    fence: fenceText({ id: ownId(id), wakeId, generation, token }),
    lease_ttl_ms: leaseMs,
    streams: wake.tails.map((mark) => ({
      ...linkText(known.get(mark.path) ?? { path: mark.path, link: "glob", acked: -1 }),
      tail_offset: markText(mark.offset),
      has_pending: true
    }))
  }
}

/** Goes on when every partition that took appends of earlier rounds knows that they are over. */
const ended = ({ surface, asked, id }: Control, fenced: Fenced | undefined, use: () => void): void =>
  endEarlier(surface.partitions, { id, fenced }, (failed) => {
    if (failed === undefined) use()
    else refuseOutcome(asked.exchange, failed)
  })

/** -1 is no place to acknowledge: whoever means it has done nothing. */
const markOf = (org: string, acked: typeof Acked.Type): Mark | undefined => {
  const path = pathIn(org, acked.stream ?? acked.path ?? "")
  const offset = parseOffset(acked.offset)
  return path === undefined || offset === undefined ? undefined : { path, offset }
}

export const ack: Handler = (at) =>
  body(at, "ack", ({ wake_id: wakeId, generation, acks: given = [], done: isDone = false }) => {
    const token = tokenIn(at.asked.exchange.request)
    if (token === undefined) return fail(at.asked, 401, "TOKEN_INVALID")
    const acks = given.map((each) => markOf(at.asked.org, each)).filter((mark) => mark !== undefined)
    if (acks.length < given.length) return fail(at.asked, 409, "INVALID_OFFSET")
    const command = {
      ...{ _tag: "AckSubscription" as const, id: at.id, token, wakeId, generation, acks },
      done: isDone
    }
    known(at, acks, (tails) =>
      send(at, { ...command, tails }, (ok) => {
        const { nextWake, fenced } = ok as { readonly nextWake: boolean; readonly fenced?: Fenced }
        const answer = () => sayJson(at.asked.exchange, 200, { ok: true, next_wake: nextWake })
        if (isDone) ended(at, fenced, answer)
        else answer()
      })
    )
  })

/** Where the streams end that are acknowledged, and those that may be work. */
const known = ({ surface, id, partition }: Control, acks: ReadonlyArray<Mark>, use: (tails: Array<Mark>) => void) =>
  surface.subscriptions.work(id, partition, (work) =>
    surface.subscriptions.tailsOf(
      acks.map(({ path: each }) => each),
      (acked) => {
        const tails = new Map([...work, ...acked].map(({ path: each, offset }) => [each, offset]))
        use([...tails].map(([each, offset]) => ({ path: each, offset })))
      }
    )
  )

export const release: Handler = (at) =>
  body(at, "release", ({ wake_id: wakeId, generation }) => {
    const token = tokenIn(at.asked.exchange.request)
    if (token === undefined) return fail(at.asked, 401, "TOKEN_INVALID")
    send(at, { _tag: "ReleaseSubscription", id: at.id, token, wakeId, generation }, (ok) =>
      ended(at, (ok as { readonly fenced?: Fenced }).fenced, () => done(at))
    )
  })
