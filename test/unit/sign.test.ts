/** Our signatures are those of the SDK's own signer, whatever the key, the query and the credentials are. */
import { S3Client } from "@aws-sdk/client-s3"
import { DateTime } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type Credentials,
  emptyPayload,
  encodePath,
  encodeQuery,
  signer,
  unsignedPayload
} from "../../adapters/s3/sign.ts"

const region = "eu-central-1"
const sign = signer(region)

const theirs = async (request: Parameters<typeof sign>[0], credentials: Credentials, atMs: number) => {
  const { sessionToken, ...rest } = credentials
  const client = new S3Client({ region, credentials: sessionToken === undefined ? rest : { ...rest, sessionToken } })
  const smithy = await client.config.signer({ name: "sigv4", signingName: "s3", signingRegion: region, properties: {} })
  const signed = await smithy.sign(
    {
      method: request.method,
      protocol: "https:",
      hostname: request.host,
      path: request.path,
      query: Object.fromEntries(new URLSearchParams(request.query.replaceAll("+", "%2B"))),
      headers: {
        ...Object.fromEntries(request.headers),
        host: request.host,
        "x-amz-content-sha256": request.payload
      }
    },
    { signingDate: DateTime.toDateUtc(DateTime.makeUnsafe(atMs)) }
  )
  return signed.headers["authorization"]
}

const oursOf = (headers: ReadonlyArray<string>): string | undefined => headers[headers.indexOf("authorization") + 1]

describe("the signer", () => {
  it("agrees with the SDK's signer", async () => {
    const segment = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter((text) => text.isWellFormed())
    const credentials = fc.record(
      {
        accessKeyId: fc.string({ unit: fc.constantFrom(..."ABCXYZ0129"), minLength: 16, maxLength: 20 }),
        secretAccessKey: fc.string({ minLength: 1, maxLength: 40 }),
        sessionToken: fc.string({ unit: fc.constantFrom(..."abcXYZ019+/="), minLength: 1, maxLength: 60 })
      },
      { requiredKeys: ["accessKeyId", "secretAccessKey"] }
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { minLength: 1, maxLength: 4 }),
        fc.dictionary(fc.constantFrom("partNumber", "uploadId", "x"), segment, { noNullPrototype: true }),
        credentials,
        fc.constantFrom("GET" as const, "PUT" as const, "HEAD" as const),
        fc.constantFrom(unsignedPayload, emptyPayload),
        fc.integer({ min: 1_600_000_000_000, max: 1_900_000_000_000 }),
        async (segments, query, who, method, payload, atMs) => {
          const request = {
            method,
            host: "bucket.example.com",
            path: `/${encodePath(segments.join("/"))}`,
            query: encodeQuery(query),
            headers: [
              ["x-amz-checksum-crc32", "AAAAAA=="],
              ["if-none-match", "*"]
            ] as const,
            payload
          }
          expect(oursOf(sign(request, who, atMs))).toBe(await theirs(request, who, atMs))
        }
      ),
      { numRuns: 300 }
    )
  })

  it("makes a new key when the day or the secret changes", () => {
    const request = { method: "GET", host: "h", path: "/k", query: "", headers: [], payload: emptyPayload } as const
    const at = Date.UTC(2026, 0, 31, 23, 59, 59)
    const one = { accessKeyId: "A", secretAccessKey: "one" }
    const two = { accessKeyId: "A", secretAccessKey: "two" }
    const lone = (who: Credentials, ms: number) => oursOf(signer(region)(request, who, ms))
    const shared = signer(region)
    for (const [who, ms] of [
      [one, at],
      [one, at + 1000],
      [two, at + 1000],
      [one, at]
    ] as const) {
      expect(oursOf(shared(request, who, ms))).toBe(lone(who, ms))
    }
  })
})
