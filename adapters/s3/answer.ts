/** What a store's answer means: done, refused for good, or to be asked again. */
import { type Answer, type Trouble, trouble } from "./exchange.ts"

export interface Said {
  readonly code: string
  readonly message: string
}

const element = (xml: string, name: string): string =>
  new RegExp(`<${name}>([^<]{0,400})</${name}>`).exec(xml)?.[1] ?? ""

/** The error's code and message. The other elements are not looked at: some echo what was signed, and by whom. */
export const saidIn = (answer: Answer): Said => {
  const xml = Buffer.from(answer.body.buffer, answer.body.byteOffset, answer.body.byteLength).toString("utf8")
  return { code: element(xml, "Code"), message: element(xml, "Message") }
}

export const headerOf = (answer: Answer, name: string): string | undefined => {
  const value = answer.headers[name]
  return typeof value === "string" ? value : undefined
}

/** Errors by name that pass, though their status says otherwise. */
const passing = new Set([
  "RequestTimeout", // 400: the body did not come in time
  "BadDigest", // 400: the body was damaged on its way
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
  "InvalidDigest",
  "ConditionalRequestConflict", // 409: another request on this key was under way
  "OperationAborted",
  "SlowDown",
  "ServiceUnavailable",
  "InternalError",
  "ThrottlingException",
  "TooManyRequestsException",
  "EC2ThrottledException",
  "RequestThrottled",
  "RequestThrottledException"
])

const advice: Readonly<Record<string, string>> = {
  NoSuchBucket: "the bucket does not exist",
  AccessDenied: "these credentials may not do this",
  InvalidAccessKeyId: "the store does not know these credentials",
  SignatureDoesNotMatch: "the secret key is wrong, or something between here and the store changed the request",
  RequestTimeTooSkewed: "the clock of this host is wrong",
  ExpiredToken: "the session of these credentials has expired",
  PermanentRedirect: "the bucket is in another region",
  AuthorizationHeaderMalformed: "the region is wrong",
  NotImplemented: "the store cannot do this"
}

export const passes = (status: number | undefined, code: string): boolean =>
  passing.has(code) || status === 429 || (status !== undefined && status >= 500 && status !== 501)

/** Words for a person: our own where the store's are riddles, and the region where the store tells it. */
export const wordsOf = (status: number | undefined, said: Said, region?: string): string => {
  const parts = [advice[said.code], said.message === "" ? undefined : said.message]
  if (region !== undefined && (status === 301 || status === 400)) parts.push(`the bucket is in ${region}`)
  const words = parts.filter((part) => part !== undefined).join(": ")
  return `${said.code === "" ? `status ${status}` : `${said.code} (${status})`}${words === "" ? "" : `: ${words}`}`
}

const waitIn = (answer: Answer): number | undefined => {
  const value = headerOf(answer, "retry-after")
  return value !== undefined && /^\d{1,4}$/.test(value) ? Number(value) * 1000 : undefined
}

/** The trouble that an answer other than success means. */
export const troubleIn = (answer: Answer): Trouble => {
  const said = saidIn(answer)
  const why = wordsOf(answer.status, said, headerOf(answer, "x-amz-bucket-region"))
  if (!passes(answer.status, said.code)) return trouble(why, { unsure: false, again: false })
  const waitMs = waitIn(answer)
  // A proxy may say 5xx about a request that the store behind it has carried out.
  const unsure = answer.status >= 500
  return trouble(why, waitMs === undefined ? { unsure } : { unsure, waitMs })
}
