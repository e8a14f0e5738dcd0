/** `Stream-Fence`: the text by which a worker shows its claim with an append, as the claim's answer gave it. */
import type { IncomingMessage } from "node:http"
import { Option, Schema } from "effect"
import type { Claim } from "../../streams/fences.ts"
import { idIn } from "./organisation.ts"
import { BadRequest, header } from "./request.ts"

const text = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Tuple([text, text, Schema.Natural, text])))

export const fenceText = ({ id, wakeId, generation, token }: Claim): string =>
  Buffer.from(JSON.stringify([id, wakeId, generation, token])).toString("base64url")

/** The claim is of a subscription of whoever asks. */
export const fenceOf = (request: IncomingMessage, org: string): Claim | BadRequest | undefined => {
  const given = header(request, "stream-fence")
  if (given === undefined) return undefined
  const parts = Option.getOrUndefined(decode(Buffer.from(given, "base64url").toString()))
  if (parts === undefined) return new BadRequest("Stream-Fence is no fence that a claim was answered with")
  const [id, wakeId, generation, token] = parts
  return { id: idIn(org, id), wakeId, generation, token }
}
