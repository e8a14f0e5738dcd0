/** Paths and handlers: who gets a request, and what is said when nobody does. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Unanswered } from "../../runtime/client.ts"
import { Refused } from "../../runtime/http/exchange.ts"
import { router } from "../../runtime/http/router.ts"
import { failure, refusal, tell, unanswered } from "../../runtime/http/statuses.ts"

const get = () => Effect.void
const put = () => Effect.void
const route = router([
  { path: "/healthz", methods: { GET: get } },
  { path: "/v1/:kind/:id", methods: { GET: get, PUT: put } },
  { path: "/files/*rest", methods: { GET: get } }
])

const found = (method: string, path: string) => {
  const routed = route(method, path)
  return routed instanceof Refused ? routed.status : routed.params
}

describe("a route", () => {
  it("matches whole paths, with what they leave open decoded", () => {
    expect(found("GET", "/healthz")).toEqual({})
    expect(found("GET", "/v1/account/a%20b")).toEqual({ kind: "account", id: "a b" })
    for (const path of ["/healthz/", "/Healthz", "/", "/v1/account", "/v1/account/", "/v1/a/b/c", "/v1/a/%zz"])
      expect(found("GET", path)).toBe(404)
  })

  it("hands on the rest of a path as it came", () => {
    expect(found("GET", "/files/a/b%2Fc")).toEqual({ rest: "a/b%2Fc" })
    expect(found("GET", "/files/")).toEqual({ rest: "" })
  })

  it("answers HEAD as GET, and names the methods that there are", () => {
    expect(found("HEAD", "/healthz")).toEqual({})
    const refused = route("DELETE", "/v1/a/b")
    expect(refused).toMatchObject({ status: 405, code: "MethodNotAllowed", headers: { allow: "GET, PUT" } })
  })
})

describe("a status", () => {
  it("comes from one table for refusals and one for failures", () => {
    expect(refusal({ _tag: "NoSuchKey" })).toMatchObject({ status: 404, code: "NoSuchKey" })
    expect(refusal({ _tag: "Novel" })).toMatchObject({ status: 422, more: { refused: { _tag: "Novel" } } })
    expect(failure({ _tag: "Busy", retryAfterMs: 40 })).toMatchObject({ status: 429, retryAfterMs: 40 })
    expect(failure({ _tag: "Defect", why: "x" })).toMatchObject({ status: 500, message: "Defect: why x" })
  })

  it("of a command without an answer names the id to repeat it with", () => {
    const lost = { subject: "s", commandId: "c-1" }
    expect(unanswered(new Unanswered({ ...lost, why: "TimedOut" }))).toMatchObject({ status: 504, more: { id: "c-1" } })
    expect(unanswered(new Unanswered({ ...lost, why: "NoResponders" }))).toMatchObject({ status: 503 })
    const busy = new Unanswered({ ...lost, why: "Busy", failure: { _tag: "Busy", retryAfterMs: 9 } })
    expect(unanswered(busy)).toMatchObject({ status: 429, retryAfterMs: 9 })
  })

  it("tells a refusal's own fields", () => {
    expect(tell({ _tag: "NameTaken", name: "w", existing: {} } as never)).toBe("NameTaken: name w")
    expect(tell({ _tag: "Bare" })).toBe("Bare")
  })
})
