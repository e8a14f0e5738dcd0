/** What an organisation, and one of its buckets, have in a partition: what limits are compared with. */
import { keyIn, orgOf } from "../../messages/stream.ts"
import type { Usage } from "../../messages/stream-partition.ts"
import type { State } from "./state.ts"

interface Counted {
  streams: number
  bytes: number
}

/** Bytes are those that can be read; a fork counts with what it shares. */
export const usageOf = (state: State, of: { readonly org: string; readonly bucket: string }): Usage => {
  const organisation: Counted = { streams: 0, bytes: 0 }
  const bucket: Counted = { streams: 0, bytes: 0 }
  const within = keyIn(of.org, `${of.bucket}/`)
  for (const [key, { tail, floor }] of state.streams.facts()) {
    if (orgOf(key) !== of.org) continue
    for (const each of key.startsWith(within) ? [organisation, bucket] : [organisation]) {
      each.streams += 1
      each.bytes += tail - floor
    }
  }
  return { organisation, bucket }
}
