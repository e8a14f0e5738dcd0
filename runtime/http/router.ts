/** Which handler a request belongs to: paths with open segments, and an answer that says so when there is none. */
import { type Exchange, type Handle, Refused } from "./exchange.ts"

export interface Route {
  /** Segments as they are, `:name` for any one segment, `*name` at the end for all that follow. */
  readonly path: string
  /** By method; `*` has those that are not named. HEAD is answered by GET's handler when it has none of its own. */
  readonly methods: Readonly<Record<string, Handle>>
}

interface Compiled {
  readonly route: Route
  readonly segments: ReadonlyArray<string>
  readonly rest: string | undefined
}

const compile = (route: Route): Compiled => {
  const segments = route.path.split("/").slice(1)
  const last = segments.at(-1)
  const rest = last?.startsWith("*") === true ? last.slice(1) : undefined
  return { route, segments: rest === undefined ? segments : segments.slice(0, -1), rest }
}

const decode = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    // A percent sign that starts no escape: the path cannot be meant for any route.
    return undefined
  }
}

const match = ({ segments, rest }: Compiled, given: ReadonlyArray<string>): Record<string, string> | undefined => {
  if (given.length < segments.length || (rest === undefined && given.length > segments.length)) return undefined
  const params: Record<string, string> = {}
  for (const [at, segment] of segments.entries()) {
    const text = given[at] as string
    if (!segment.startsWith(":")) {
      if (segment !== text) return undefined
      continue
    }
    const value = decode(text)
    if (value === undefined || value === "") return undefined
    params[segment.slice(1)] = value
  }
  // What follows is handed on as it came: the handler knows whether a slash in it is a separator.
  if (rest !== undefined) params[rest] = given.slice(segments.length).join("/")
  return params
}

export interface Routed {
  readonly handle: Handle
  readonly params: Exchange["params"]
}

export type Router = (method: string, path: string) => Routed | Refused

/** The first route that matches has the request. */
export const router = (routes: ReadonlyArray<Route>): Router => {
  const compiled = routes.map(compile)
  return (method, path) => {
    const given = path.split("/").slice(1)
    for (const each of compiled) {
      const params = match(each, given)
      if (params === undefined) continue
      const { methods } = each.route
      const handle = methods[method] ?? (method === "HEAD" ? methods["GET"] : undefined) ?? methods["*"]
      if (handle !== undefined) return { handle, params }
      const allow = Object.keys(methods).join(", ")
      const message = `${method} is not for ${each.route.path}; it has ${allow}`
      return new Refused({ status: 405, code: "MethodNotAllowed", message, headers: { allow } })
    }
    return new Refused({ status: 404, code: "NotFound", message: `nothing is served at ${path.slice(0, 200)}` })
  }
}
