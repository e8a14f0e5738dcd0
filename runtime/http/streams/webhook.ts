/** Webhooks: a signed POST to the subscriber, and the public key by which it knows the signature. */
import { createHash, createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign } from "node:crypto"
import { offsetText } from "../../../messages/stream.ts"
import { endEarlier } from "../../streams/fences.ts"
import type { Partitions } from "../../streams/partitions.ts"
import type { Delivered, Delivery } from "../../streams/subscriptions.ts"
import { fenceText } from "./fence.ts"
import { ownId, ownPath } from "./organisation.ts"

/** PKCS #8 around the 32 bytes of an Ed25519 key. */
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex")

export interface SigningKey {
  readonly kid: string
  readonly key: KeyObject
  readonly jwks: object
}

/** One key an installation, made of its account's seed: every node of it signs alike. */
export const signingKeyOf = (seed: string): SigningKey => {
  const secret = Buffer.from(hkdfSync("sha256", seed, "", "artifacts stream webhooks", 32))
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, secret]), format: "der", type: "pkcs8" })
  const { x = "" } = createPublicKey(key).export({ format: "jwk" })
  const kid = `ds_${createHash("sha256").update(x).digest("base64url").slice(0, 16)}`
  return { kid, key, jwks: { keys: [{ kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA", use: "sig" }] } }
}

const signatureOf = ({ key, kid }: SigningKey, body: string, seconds: number): string => {
  const signed = sign(null, Buffer.from(`${seconds}.${body}`), key).toString("base64url")
  return `t=${seconds},kid=${kid},ed25519=${signed}`
}

export const markText = (offset: number): string => (offset < 0 ? "-1" : offsetText(offset))

const bodyOf = ({ id, config, wake, token, links }: Delivery): string => {
  const { wakeId, generation } = wake
  const known = new Map(links.map((link) => [link.path, link]))
  return JSON.stringify({
    subscription_id: ownId(id),
    wake_id: wakeId,
    generation,
    streams: wake.tails.map(({ path, offset }) => ({
      path: ownPath(path),
      link_type: known.get(path)?.link ?? "glob",
      acked_offset: markText(known.get(path)?.acked ?? -1),
      tail_offset: offsetText(offset),
      has_pending: offset > (known.get(path)?.acked ?? -1)
    })),
    callback_url: `${config.base}/__ds/subscriptions/${encodeURIComponent(ownId(id))}/callback`,
    callback_token: token,
    fence: fenceText({ id: ownId(id), wakeId, generation, token })
  })
}

/** A receiver that takes longer may answer by the callback. */
const deliveryMs = 10_000
const answerBytesMax = 64 * 1024

const attempt = async (signing: SigningKey, delivery: Delivery): Promise<Delivered> => {
  const body = bodyOf(delivery)
  const response = await fetch(delivery.config.webhookUrl ?? "", {
    method: "POST",
    redirect: "error",
    signal: AbortSignal.timeout(deliveryMs),
    headers: {
      "content-type": "application/json",
      "webhook-signature": signatureOf(signing, body, Math.floor(Date.now() / 1000))
    },
    body
  })
  if (!response.ok) {
    await response.body?.cancel()
    return "failed"
  }
  const text = await response.text()
  return text.length < answerBytesMax && isDone(text) ? "done" : "accepted"
}

const isDone = (text: string): boolean => {
  try {
    return (JSON.parse(text) as { readonly done?: unknown } | null)?.done === true
  } catch {
    // Any words of a receiver that took the delivery will do; only these have a meaning.
    return false
  }
}

export const deliverer =
  (signing: SigningKey, partitions: Partitions) =>
  (delivery: Delivery, done: (delivered: Delivered) => void): void => {
    const { id, fenced } = delivery
    endEarlier(partitions, { id, fenced }, (failed) => {
      if (failed !== undefined) return done("failed")
      attempt(signing, delivery).then(done, () => done("failed"))
    })
  }

const privateV4 =
  /^(10\.|127\.|0\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/

/** Why nothing is posted to this URL, or nothing when it may be: a server's own network is not a caller's to reach. */
export const webhookFault = (text: string): string | undefined => {
  if (!URL.canParse(text)) return "it is no URL"
  const { protocol, hostname, username } = new URL(text)
  if (username !== "") return "it may hold no name and password"
  if (hostname.startsWith("[")) return "IPv6 addresses are not reached"
  const isHere = hostname === "localhost" || hostname.startsWith("127.")
  if (protocol === "http:") return isHere ? undefined : "plain http is for this host alone"
  if (protocol !== "https:") return "it has to be https"
  return !isHere && privateV4.test(hostname) ? "private addresses are not reached" : undefined
}
