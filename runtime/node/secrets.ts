/** The keys of an installation: its operator and accounts, and the credentials of its administrator and its nodes. */
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { credsFile, parseCreds, readUserJwt, userJwt } from "../../adapters/nats/credentials.ts"
import { type KeyKind, type Nkey, nkeyOf, nkeyOfSeed } from "../../adapters/nats/nkey.ts"
import { inboxPrefixOf, type Permissions } from "../../adapters/nats/permissions.ts"
import { callerSubjects } from "../../messages/subjects.ts"
import { CannotStart } from "./fault.ts"
import { readText, writeWhole } from "./files.ts"

export interface Secrets {
  readonly operator: Nkey
  readonly account: Nkey
  /** A cluster of NATS servers wants an account of its own for its housekeeping. */
  readonly system: Nkey
}

const seeds = { operator: "operator.seed", account: "account.seed", system: "system.seed" } as const
export const adminCreds = "admin.creds"
export const nodeCreds = "node.creds"
export const adminToken = "admin.token"
export const secretNames: ReadonlyArray<string> = [...Object.values(seeds), adminCreds, nodeCreds, adminToken]

/** The administrator of this host: it may say and ask everything, in its own name. */
export const adminCaller = "admin"

const adminPermissions = (user: string): Permissions => ({
  publish: { allow: callerSubjects("*", "*", "*", adminCaller) },
  subscribe: { allow: [`${inboxPrefixOf(user)}.>`, "art.v1.on.>", "art.v1.tail.>"] }
})

const seedIn = (path: string, file: string, kind: KeyKind, mayMake: boolean): Nkey => {
  const place = join(path, file)
  const text = readText(place)
  if (text === undefined && mayMake) {
    const made = nkeyOf(kind, randomBytes(32))
    writeWhole(place, `${made.seed}\n`)
    return made
  }
  if (text === undefined)
    throw new CannotStart({
      why: `${place} is missing: every credential of this installation depends on it`,
      next: "bring it back from a backup"
    })
  const key = nkeyOfSeed(text)
  if (key === undefined || key.kind !== kind)
    throw new CannotStart({ why: `${place} is damaged: it holds no ${kind} seed` })
  return key
}

/** Signed by the account, so they are made again whenever they are gone. */
const credsIn = (path: string, file: string, account: Nkey, permissions: (user: string) => Permissions): void => {
  const place = join(path, file)
  if (readText(place) !== undefined) return
  const user = nkeyOf("user", randomBytes(32))
  const name = file.replace(".creds", "")
  const issuedAt = Date.now() / 1000
  const jwt = userJwt(account, user.publicKey, { name, permissions: permissions(user.publicKey) }, { issuedAt })
  writeWhole(place, credsFile(jwt, user.seed))
}

export const readSecrets = (path: string, mayMake: boolean): Secrets => {
  const operator = seedIn(path, seeds.operator, "operator", mayMake)
  const account = seedIn(path, seeds.account, "account", mayMake)
  const system = seedIn(path, seeds.system, "account", mayMake)
  return { operator, account, system }
}

/** Makes those credentials that are not there. */
export const fillCreds = (path: string, { account }: Secrets): void => {
  credsIn(path, adminCreds, account, adminPermissions)
  // A node answers for everybody and keeps its logs in JetStream: it may do everything within the account.
  credsIn(path, nodeCreds, account, () => ({}))
}

/** Where the answers for the user of a credentials file arrive, or undefined when there is no such file. */
export const inboxOf = (file: string): string | undefined => {
  const claims = readUserJwt(parseCreds(readText(file) ?? "")?.jwt ?? "")
  return claims === undefined ? undefined : inboxPrefixOf(claims.sub)
}
