/** Reads where a bucket is: `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1&pathStyle=true`. */
import { Effect } from "effect"
import { keyFault } from "../../messages/keys.ts"
import { StoreRefused } from "../../runtime/ports/objects.ts"

export interface S3Place {
  readonly bucket: string
  /** Stands before every key: empty, or with a slash at its end. */
  readonly prefix: string
  /** Another store than Amazon's. */
  readonly endpoint: string | undefined
  readonly region: string | undefined
  /** The bucket in the path and not in the host's name: what most other stores want. */
  readonly pathStyle: boolean
  /** Whether bodies are hashed into the signature: worth its CPU where TLS does not protect them. */
  readonly signPayload: boolean
  /** Whether a CRC32 goes along that the store checks before it accepts, and that is checked on the way back. */
  readonly checksum: boolean
}

/** Keys have 900 bytes at most, and stores stop at 1024. */
const prefixBytesMax = 120

const parameters = ["endpoint", "region", "pathStyle", "signPayload", "checksum"] as const
type Parameter = (typeof parameters)[number]

const bucketLaw = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const regionLaw = /^[a-z0-9-]{1,40}$/

/** What is wrong, in words that hold no credentials even when the URL does. */
class Wrong extends Error {}

const flag = (query: URLSearchParams, name: Parameter, otherwise: boolean): boolean => {
  const value = query.get(name)
  if (value === null) return otherwise
  if (value === "true" || value === "false") return value === "true"
  throw new Wrong(`${name} is either true or false`)
}

const endpointIn = (query: URLSearchParams): string | undefined => {
  const value = query.get("endpoint")
  if (value === null) return undefined
  if (!URL.canParse(value)) throw new Wrong("endpoint has to be a URL such as http://127.0.0.1:9000")
  const url = new URL(value)
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new Wrong("endpoint has to begin with http:// or https://")
  if (url.username !== "" || url.password !== "") throw new Wrong("endpoint may not hold credentials")
  if (url.pathname !== "/" || url.search !== "") throw new Wrong("endpoint is a host and a port, without a path")
  return url.origin
}

const prefixIn = (path: string): string => {
  const prefix = decodeURIComponent(path).replace(/^\/|\/$/g, "")
  if (prefix === "") return ""
  const fault = keyFault(prefix)
  if (fault !== undefined) throw new Wrong(`the prefix is not a key: ${fault}`)
  if (Buffer.byteLength(prefix) > prefixBytesMax) throw new Wrong(`the prefix may have ${prefixBytesMax} bytes at most`)
  return `${prefix}/`
}

const read = (text: string): S3Place => {
  if (!text.startsWith("s3://")) throw new Wrong("it has to begin with s3://")
  if (!URL.canParse(text)) throw new Wrong("it cannot be read as a URL")
  const url = new URL(text)
  if (url.username !== "" || url.password !== "") {
    throw new Wrong("credentials do not belong in it: they come from the environment, a profile or the host's role")
  }
  if (url.port !== "") throw new Wrong("after s3:// stands a bucket; host and port belong in the parameter endpoint")
  if (!bucketLaw.test(url.hostname)) throw new Wrong(`this is no bucket's name: ${JSON.stringify(url.hostname)}`)
  const query = url.searchParams
  for (const name of new Set(query.keys())) {
    if (!parameters.includes(name as Parameter))
      throw new Wrong(`there is no parameter ${name}, only ${parameters.join(", ")}`)
    if (query.getAll(name).length > 1) throw new Wrong(`${name} is given more than once`)
  }
  const endpoint = endpointIn(query)
  const region = query.get("region") ?? undefined
  if (region !== undefined && !regionLaw.test(region)) throw new Wrong("region has to be a name such as us-east-1")
  return {
    bucket: url.hostname,
    prefix: prefixIn(url.pathname),
    endpoint,
    region,
    pathStyle: flag(query, "pathStyle", endpoint !== undefined),
    signPayload: flag(query, "signPayload", endpoint?.startsWith("http:") === true),
    checksum: flag(query, "checksum", true)
  }
}

export const placeOf = (place: S3Place): string => `s3://${place.bucket}/${place.prefix}`.replace(/\/$/, "")

/** The parts of the URL, or a refusal that says which part is wrong. */
export const parse = (text: string): Effect.Effect<S3Place, StoreRefused> =>
  Effect.try({
    try: () => read(text),
    catch: (cause) => {
      const shown = text.replace(/\/\/[^/]*@/, "//…@").replace(/\?.*/, "")
      const why = cause instanceof Wrong ? cause.message : "its prefix is not rightly percent-encoded"
      return new StoreRefused({ operation: "open", key: shown, why })
    }
  })
