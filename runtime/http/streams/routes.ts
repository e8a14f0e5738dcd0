/** The streams' surface as routes: three families of paths, one handler, and who may come in. */
import { Effect } from "effect"
import { defaultBucket, keyOfPath, reservedSegment, streamFault } from "../../../messages/stream.ts"
import type { KeyCheck } from "../../keys.ts"
import { bearer } from "../bearer.ts"
import { type Direct, type Exchange, type Handle, Refused } from "../exchange.ts"
import type { Route } from "../router.ts"
import { bucket } from "./bucket.ts"
import { control } from "./control.ts"
import { facetOf } from "./facets.ts"
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
const openCaller = "open"

/** Streams are not divided between organisations: they are the operator's own. */
const operatorOrg = "local"

const notTheirs = (org: string) =>
  new Refused({ status: 403, code: "Forbidden", message: `streams are for keys of ${operatorOrg}, not of ${org}` })

type Identify = (exchange: Exchange) => Effect.Effect<string, Refused>

const identifier = (surface: Surface, keys: KeyCheck): Identify | undefined => {
  if (surface.options.isOpen) return undefined
  const identify = bearer(keys)
  return (exchange) =>
    Effect.flatMap(identify(exchange), ({ caller, org }) =>
      org === operatorOrg ? Effect.succeed(caller) : Effect.fail(notTheirs(org))
    )
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

type Opening = (exchange: Exchange, caller: string, path: string | undefined) => Direct

export const streamRoutes = Effect.fnUntraced(function* (surface: Surface, keys: KeyCheck) {
  const fork = Effect.runCallbackWith(yield* Effect.context<never>())
  const identify = identifier(surface, keys)

  const answered = (exchange: Exchange, caller: string, handle: (asked: Asked) => void, key = ""): Direct => {
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
    handle({ exchange, key, path: exchange.path, caller, onGone, run })
    return begun
  }

  const refused = (...of: Parameters<typeof refuse>): Direct => {
    refuse(...of)
    return nothingBegun
  }

  const toStream: Opening = (exchange, caller, path) => {
    if (path?.startsWith(`${reservedSegment}/`) === true)
      return answered(exchange, caller, (asked) => control(surface, asked, path.split("/").slice(1)))
    const handler = methods[exchange.request.method ?? ""]
    if (handler === undefined) return refused(exchange, 405, "streams know GET, HEAD, PUT, POST and DELETE", { allow })
    const key = path === undefined ? "" : keyOfPath(path)
    const fault = path === undefined ? "its escapes cannot be read" : streamFault(key)
    if (fault !== undefined) return refused(exchange, 400, `the path names no stream: ${fault}`)
    return answered(exchange, caller, (asked) => handler(surface, asked), key)
  }

  /** The primary family knows buckets, and what streams have besides their data. */
  const toBucket: Opening = (exchange, caller, path) => {
    if (path?.endsWith("/") === true && path.indexOf("/") === path.length - 1)
      return answered(exchange, caller, (asked) => bucket(surface, asked, path.slice(0, -1)))
    const facet = path === undefined ? undefined : facetOf(path)
    if (facet === undefined) return toStream(exchange, caller, path)
    const handler = facet.methods[exchange.request.method ?? ""]
    const allowed = Object.keys(facet.methods).join(", ")
    if (handler === undefined) return refused(exchange, 405, `it knows ${allowed}`, { allow: allowed })
    return answered(exchange, caller, (asked) => handler(surface, asked, facet.argument), facet.key)
  }

  const handle = (open: Opening, pathOf: (exchange: Exchange) => string | undefined): Handle => {
    return (exchange) => {
      if (exchange.request.method === "OPTIONS") return Effect.sync(() => preflight(exchange))
      if (identify === undefined) return open(exchange, openCaller, pathOf(exchange))
      return identify(exchange).pipe(
        Effect.mapError(withHeaders),
        Effect.flatMap((caller) => asEffect(exchange, () => open(exchange, caller, pathOf(exchange))))
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

const allow = "GET, HEAD, PUT, POST, DELETE, OPTIONS"

const join = (bucket: string | undefined, name: string | undefined): string | undefined =>
  bucket === undefined || name === undefined ? undefined : `${bucket}/${name}`
