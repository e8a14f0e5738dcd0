/** The HTTP server of a node: plain node:http, with its limits, its time-outs and an end that lets answers finish. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Cause, Effect, Exit, Schema, type Scope } from "effect"
import { type Exchange, type Handle, Refused, sendRefused } from "./exchange.ts"
import { Line } from "./line.ts"
import type { Routed, Router } from "./router.ts"
import type { WholeRequest, WholeResponse } from "./whole.ts"

/** The address is taken, or is not one of this host's. */
export class CannotServe extends Schema.TaggedError<CannotServe>()("CannotServe", {
  address: Schema.String,
  why: Schema.String
}) {}

/** Who takes longer to say what they want holds a connection for nothing. */
const headersTimeoutMs = 15_000
/** A body of a megabyte over a slow line; streams that take longer lift it for themselves. */
const requestTimeoutMs = 120_000
/** Longer than the idle time of common proxies in front, so that they and not we end an idle connection. */
const keepAliveTimeoutMs = 75_000
const connectionsMax = 10_000
/** How long answers may take that were under way when the node was told to stop. */
const drainMs = 2_500

/** Where somebody on this host reaches a server that listens on all of its addresses. */
export const reachedAt = (host: string): string => (host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host)

export interface HttpServer {
  readonly host: string
  readonly port: number
  readonly url: string
  readonly counters: () => { readonly requests: number; readonly underWay: number }
}

export interface Listening {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

const unexpected = new Refused({
  status: 500,
  code: "Defect",
  message: "the node failed while it answered; its log says why"
})

const plainPath = /^\/[\w~!$&'()*+,;=:@./-]*$/

/** The path of a target; only one that a URL would write differently is read as one. */
const pathOf = (target: string): string | undefined => {
  const end = target.indexOf("?")
  const path = end < 0 ? target : target.slice(0, end)
  if (plainPath.test(path) && !path.includes("/.") && !path.includes("//")) return path
  // Only paths: a proxy's absolute form and CONNECT are not for us.
  return target.startsWith("/") && URL.canParse(target, base) ? new URL(target, base).pathname : undefined
}

const base = "http://node"

/** The URL is read when somebody asks for it: most handlers are content with the path. */
class Incoming implements Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly path: string
  params: Exchange["params"] = {}
  #url: URL | undefined

  constructor(request: IncomingMessage, response: ServerResponse, path: string) {
    this.request = request
    this.response = response
    this.path = path
  }

  get url(): URL {
    const target = this.request.url ?? "/"
    this.#url ??= new URL(URL.canParse(target, base) ? target : "/", base)
    return this.#url
  }
}

/** A handler that throws has a defect, like one that dies. */
const begun = ({ handle }: Routed, exchange: Exchange): ReturnType<Handle> => {
  try {
    return handle(exchange)
  } catch (cause) {
    return Effect.die(cause)
  }
}

type Run = (handling: Effect.Effect<void>, response: ServerResponse) => void

/** What a method and a target come to. */
interface Found {
  readonly path: string
  readonly routed: Routed | Refused
}

const noPath = new Refused({ status: 400, code: "Malformed", message: "the request's target is no path" })

class Front {
  requests = 0
  readonly underWay = new Set<ServerResponse>()
  isClosing = false
  readonly #route: Router
  readonly #run: Run

  constructor(route: Router, run: Run) {
    this.#route = route
    this.#run = run
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    // The connection broke: whoever handles the request is interrupted by the response's end.
    request.on("error", () => response.destroy())
    this.#handle(request, response, this.#found(request.method ?? "GET", request.url ?? "/"))
  }

  takeWhole(request: WholeRequest, response: WholeResponse): void {
    const { plain } = request
    plain.known ??= this.#found(plain.method, plain.target)
    // Handlers of what is answered at once use no more of the two than these have.
    const given = [request, response] as ReadonlyArray<unknown> as [IncomingMessage, ServerResponse]
    this.#handle(...given, plain.known as Found)
  }

  #found(method: string, target: string): Found {
    const path = pathOf(target)
    return path === undefined ? { path: "/", routed: noPath } : { path, routed: this.#route(method, path) }
  }

  #handle(request: IncomingMessage, response: ServerResponse, { path, routed }: Found): void {
    this.requests += 1
    this.underWay.add(response)
    response.once("close", () => this.underWay.delete(response))
    if (this.isClosing) response.setHeader("connection", "close")
    const exchange = new Incoming(request, response, path)
    if (routed instanceof Refused) return sendRefused(exchange, routed)
    exchange.params = routed.params
    const handled = begun(routed, exchange)
    if ("gone" in handled) {
      response.once("close", () => {
        if (!response.writableFinished) handled.gone()
      })
      return
    }
    const handling = handled.pipe(
      Effect.catch((refused) => Effect.sync(() => sendRefused(exchange, refused))),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.interrupt
          : Effect.andThen(
              Effect.logError(`${request.method} ${path} fell`, cause),
              Effect.sync(() => sendRefused(exchange, unexpected))
            )
      )
    )
    this.#run(handling, response)
  }
}

const listen = (server: Server, { host, port }: Listening) =>
  Effect.callback<AddressInfo, CannotServe>((resume) => {
    const address = `${host}:${port}`
    // Stays for as long as the server: an accept that fails later concerns that connection alone.
    server.on("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another process listens there already" : error.message
      resume(Effect.fail(new CannotServe({ address, why })))
    })
    server.listen({ host, port }, () => resume(Effect.succeed(server.address() as AddressInfo)))
  })

/** No new connections, no new requests on old ones; what is under way may finish, and then the rest is cut. */
const stop = (server: Server, front: Front, lines: ReadonlySet<Line>) =>
  Effect.callback<void>((resume) => {
    front.isClosing = true
    for (const response of front.underWay) if (!response.headersSent) response.setHeader("connection", "close")
    const timer = setTimeout(() => {
      server.closeAllConnections()
      for (const line of lines) line.destroy()
    }, drainMs)
    server.close(() => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    server.closeIdleConnections()
    for (const line of lines) line.look(Date.now())
  })

/** How often connections are looked at that say nothing. */
const lookMs = 1_000

/** Connections begin with us, and go over to node:http when something comes that is not plain. */
const plainLines = (server: Server, front: Front) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const lines = new Set<Line>()
      const byNode = server.listeners("connection")[0] as (this: Server, socket: Socket) => void
      server.removeAllListeners("connection")
      const to = {
        keepAliveMs: keepAliveTimeoutMs,
        take: (request: WholeRequest, response: WholeResponse) => front.takeWhole(request, response),
        leave: (socket: Socket) => byNode.call(server, socket),
        isClosing: () => front.isClosing
      }
      server.on("connection", (socket) => lines.add(new Line(socket, to, (line) => lines.delete(line))))
      const timer = setInterval(() => {
        const now = Date.now()
        for (const line of lines) line.look(now)
      }, lookMs)
      return { lines, timer }
    }),
    ({ timer }) => Effect.sync(() => clearInterval(timer))
  ).pipe(Effect.map(({ lines }) => lines))

/** Serves until the scope closes. */
export const httpServer = (at: Listening, route: Router): Effect.Effect<HttpServer, CannotServe, Scope.Scope> =>
  Effect.gen(function* () {
    const run = Effect.runCallbackWith(yield* Effect.context())
    const front = new Front(route, (handling, response) => {
      const interrupt = run(handling, {
        onExit: (exit) => {
          if (Exit.isFailure(exit) && !response.writableEnded) response.destroy()
        }
      })
      response.once("close", () => {
        if (!response.writableFinished) interrupt()
      })
    })
    const server = createServer(
      { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs },
      (request, response) => front.take(request, response)
    )
    server.keepAliveTimeout = keepAliveTimeoutMs
    server.maxConnections = connectionsMax
    const lines = yield* plainLines(server, front)
    const { port } = yield* Effect.acquireRelease(listen(server, at), () => stop(server, front, lines))
    const host = reachedAt(at.host)
    const shown = host.includes(":") ? `[${host}]` : host
    return {
      host: at.host,
      port,
      url: `http://${shown}:${port}`,
      counters: () => ({ requests: front.requests, underWay: front.underWay.size })
    }
  })
