/** The streams' surface as routes: three families of paths, one handler, and who may come in. */
import { Effect } from "effect"
import {
  bucketFault,
  defaultBucket,
  keyIn,
  keyOfPath,
  operatorOrg,
  reservedSegment,
  streamFault
} from "../../../messages/stream.ts"
import { type KeyCheck, parseToken } from "../../keys.ts"
import { bearer, tokenIn } from "../bearer.ts"
import { type Direct, type Exchange, type Handle, Refused } from "../exchange.ts"
import type { Route } from "../router.ts"
import { bucket } from "./bucket.ts"
import { control } from "./control.ts"
import { facetOf } from "./facets.ts"
import { orgOfToken } from "./organisation.ts"
import { get, show } from "./read.ts"
import { always, preflight, refuse } from "./reply.ts"
import { pathIn } from "./request.ts"
import type { Asked, Handler, Run, Surface } from "./surface.ts"
import { append, create, remove } from "./write.ts"

const methods: Readonly<Record<string, Handler>> = {
  GET: get,
  HEAD: show,
  PUT: create,
  POST: append,
  DELETE: remove
}

/** Who may do anything where nobody has to say who they are. */
const operator: Who = { caller: "open", org: operatorOrg }

/** Who shows a claim's token instead of a key: that is compared with the claim. */
const worker = "worker"

interface Who {
  readonly caller: string
  /** Its streams are all that it can reach. */
  readonly org: string
}

/** At once, where nobody has to be asked about them. */
type Identify = (exchange: Exchange) => Who | Effect.Effect<Who, Refused>

const callbacks = /\/__ds\/subscriptions\/[^/]+\/(?:ack|callback|release)$/

/** A claim's token is asked for by the subscription itself, and its form tells whose that is. */
const byClaim = ({ request, path }: Exchange): Who | undefined => {
  const token = tokenIn(request)
  if (token === undefined || token.startsWith("art_") || !callbacks.test(path)) return undefined
  return { caller: worker, org: orgOfToken(token) }
}

/** Open streams are the operator's: caches may keep what is read, so nobody else's may have the same URLs. */
const atOpen = ({ request }: Exchange): Who | Effect.Effect<Who, Refused> => {
  const token = tokenIn(request)
  if (token === undefined) return operator
  const org = parseToken(token)?.org ?? operatorOrg
  if (org === operatorOrg) return operator
  const message = `streams are open here, to ${operatorOrg} alone: a key of ${org} is for a node with --streams-open no`
  return Effect.fail(new Refused({ status: 403, code: "Forbidden", message }))
}

const identifier = ({ options: { isOpen } }: Surface, keys: KeyCheck): Identify => {
  if (isOpen) return atOpen
  const identify = bearer(keys)
  return (exchange) => byClaim(exchange) ?? identify(exchange)
}

/** What has begun for a request, so that the end of its connection ends it. */
class Begun implements Direct {
  private readonly ends: Array<() => void> = []

  readonly onGone = (callback: () => void): void => {
    this.ends.push(callback)
  }

  readonly gone = (): void => {
    for (const end of this.ends) end()
  }
}

const nothingBegun: Direct = { gone: () => {} }

/** The same for who had to be identified first: until the answer is out. */
const asEffect = ({ response }: Exchange, begin: () => Direct): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    response.once("finish", () => resume(Effect.void))
    const { gone } = begin()
    return Effect.sync(gone)
  })

/** A page of another origin may read why it was not let in. */
const withHeaders = ({ status, code, message, headers, retryAfterMs }: Refused): Refused =>
  new Refused({
    status,
    code,
    message,
    headers: { ...always, ...headers },
    ...(retryAfterMs !== undefined && { retryAfterMs })
  })

/** Answers requests to one path. */
type Place = (exchange: Exchange, who: Who) => Direct
type PathOf = (exchange: Exchange) => string | undefined

/** Places that are remembered, of paths that are not unusually long: a few megabytes at most. */
const placesMax = 4096
const placeLengthMax = 256

export const streamRoutes = Effect.fnUntraced(function* (surface: Surface, keys: KeyCheck) {
  const fork = Effect.runCallbackWith(yield* Effect.context<never>())
  const identify = identifier(surface, keys)

  const answered = (exchange: Exchange, who: Who, handle: (asked: Asked) => void, own = ""): Direct => {
    const begun = new Begun()
    const { onGone } = begun
    const run: Run = (work) => {
      const interrupt = fork(work, {
        onExit: (exit) => {
          if (exit._tag === "Failure" && !exchange.response.writableEnded) exchange.response.destroy()
        }
      })
      onGone(() => void interrupt())
    }
    const { caller, org } = who
    handle({ exchange, key: keyIn(org, own), path: exchange.path, caller, org, onGone, run })
    return begun
  }

  const refused = (...of: Parameters<typeof refuse>): Direct => {
    refuse(...of)
    return nothingBegun
  }

  const toStream = (path: string | undefined): Place => {
    if (path?.startsWith(`${reservedSegment}/`) === true)
      return (exchange, who) => answered(exchange, who, (asked) => control(surface, asked, path.split("/").slice(1)))
    const key = path === undefined ? "" : keyOfPath(path)
    const fault = path === undefined ? unreadable : streamFault(key)
    return (exchange, who) => {
      const handler = methods[exchange.request.method ?? ""]
      if (handler === undefined)
        return refused(exchange, 405, "streams know GET, HEAD, PUT, POST and DELETE", { allow })
      if (fault !== undefined) return refused(exchange, 400, `the path names no stream: ${fault}`)
      return answered(exchange, who, (asked) => handler(surface, asked), key)
    }
  }

  /** The primary family knows buckets, and what streams have besides their data. */
  const toBucket = (path: string | undefined): Place => {
    if (path?.endsWith("/") === true && path.indexOf("/") === path.length - 1)
      return (exchange, who) => answered(exchange, who, (asked) => bucket(surface, asked, path.slice(0, -1)))
    const facet = path === undefined ? undefined : facetOf(path)
    if (facet === undefined) return toStream(path)
    const { key } = facet
    const fault = key.includes("/") ? streamFault(key) : bucketFault(key)
    return (exchange, who) => {
      if (fault !== undefined) return refused(exchange, 400, `the path names no stream: ${fault}`)
      const handler = facet.methods[exchange.request.method ?? ""]
      const allowed = Object.keys(facet.methods).join(", ")
      if (handler === undefined) return refused(exchange, 405, `it knows ${allowed}`, { allow: allowed })
      return answered(exchange, who, (asked) => handler(surface, asked, facet.argument), key)
    }
  }

  const handle = (open: (path: string | undefined) => Place, pathOf: PathOf): Handle => {
    const places = new Map<string, Place>()
    /** What a path names is found out once: most streams are asked for again and again. */
    const placeOf = (exchange: Exchange): Place => {
      const { path } = exchange
      const known = places.get(path)
      if (known !== undefined) return known
      const found = open(pathOf(exchange))
      if (places.size >= placesMax) places.clear()
      if (path.length <= placeLengthMax) places.set(path, found)
      return found
    }
    return (exchange) => {
      if (exchange.request.method === "OPTIONS") return Effect.sync(() => preflight(exchange))
      const who = identify(exchange)
      if (!Effect.isEffect(who)) return placeOf(exchange)(exchange, who)
      return who.pipe(
        Effect.mapError(withHeaders),
        Effect.flatMap((known) => asEffect(exchange, () => placeOf(exchange)(exchange, known)))
      )
    }
  }
  const rest = ({ params }: Exchange): string | undefined => pathIn(params["path"] ?? "")
  const inBucket = (exchange: Exchange) => join(exchange.params["bucket"], rest(exchange))
  const routes: ReadonlyArray<Route> = [
    { path: "/ds/:bucket/*path", methods: { "*": handle(toBucket, inBucket) } },
    { path: "/v1/stream/*path", methods: { "*": handle(toStream, rest) } },
    { path: "/streams/*path", methods: { "*": handle(toStream, (exchange) => join(defaultBucket, rest(exchange))) } }
  ]
  return routes
})

const unreadable = "its escapes cannot be read"
const allow = "GET, HEAD, PUT, POST, DELETE, OPTIONS"

const join = (bucket: string | undefined, name: string | undefined): string | undefined =>
  bucket === undefined || name === undefined ? undefined : `${bucket}/${name}`
