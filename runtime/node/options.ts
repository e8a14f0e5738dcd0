/** What `up` was asked for, and how the texts of its flags are read. */
import { randomBytes } from "node:crypto"
import { homedir, hostname } from "node:os"
import { join, resolve } from "node:path"
import type { QuotaLimits } from "../http/streams/quota.ts"
import { CannotStart } from "./fault.ts"

export interface Address {
  readonly host: string
  readonly port: number
  /** It was asked for by name: another one will not do. */
  readonly isExplicit: boolean
}

export interface UpOptions {
  readonly data: string
  readonly program: string
  readonly http: Address
  /** Where the embedded broker listens. */
  readonly nats: Address
  /** A NATS server or cluster in place of the embedded broker and journal. */
  readonly natsUrl?: string
  readonly natsCreds?: string
  readonly objects?: string
  readonly shards?: number
  /** In a cluster, `sync` is the operator's word that the servers flush before they acknowledge. */
  readonly durability: "sync" | "process" | undefined
  readonly replicas: number
  readonly node: string
  /** Where the workspace `home` is mounted, when it was asked for. */
  readonly home?: string
  /** How long a long-poll on a stream waits. */
  readonly longPollMs?: number
  /** An actor that was not used for so long leaves memory. */
  readonly idleMs?: number
  /** Payloads that a partition of streams keeps in memory; 0 means all of them. */
  readonly streamHotBytes?: number
  /** What is appended is published, on a subject for each stream. */
  readonly streamSubjects?: boolean
  /** What organisations and buckets may have of streams. */
  readonly streamLimits?: QuotaLimits
  /** Whether streams are for everybody who reaches the HTTP port; on the loopback they are, unless this says no. */
  readonly streamsOpen?: boolean
}

export const httpDefault: Address = { host: "127.0.0.1", port: 8080, isExplicit: false }
export const natsDefault: Address = { host: "127.0.0.1", port: 4222, isExplicit: false }

/** `--data`, then the environment, then the place that the desktop's conventions name. */
export const dataPath = (flag: string | undefined, env: Readonly<Record<string, string | undefined>>): string => {
  const home = env["XDG_DATA_HOME"] || join(homedir(), ".local", "share")
  return resolve(flag || env["ARTIFACTS_DATA"] || join(home, "artifacts"))
}

const hostPattern = /^[A-Za-z0-9._-]{1,253}$|^\[[0-9a-fA-F:.]{2,45}\]$/

/** `HOST:PORT`, `[IPv6]:PORT`, or `PORT` alone on the loopback; port 0 takes a free one. */
export const readAddress = (text: string): Address | undefined => {
  const colon = text.lastIndexOf(":")
  const host = colon < 0 ? "127.0.0.1" : text.slice(0, colon)
  const port = text.slice(colon + 1)
  if (!hostPattern.test(host) || !/^\d{1,5}$/.test(port) || Number(port) > 65_535) return undefined
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port), isExplicit: true }
}

export const addressText = ({ host, port }: Pick<Address, "host" | "port">): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/** Stands in claims, leases and subjects, so it is one token; nodes of a cluster have to differ also on one host. */
export const nodeName = (given: string | undefined, isCluster: boolean): string => {
  if (given !== undefined) {
    if (/^[A-Za-z0-9_-]{1,64}$/.test(given)) return given
    throw new CannotStart({ why: `--node ${given}: a node's name is 1 to 64 letters, digits, _ and -` })
  }
  const host =
    hostname()
      .split(".")[0]
      ?.replace(/[^A-Za-z0-9_-]/g, "-")
      .slice(0, 48) || "node"
  return isCluster ? `${host}-${randomBytes(4).toString("hex")}` : host
}

/** ` --data DIR` as it has to be typed, or nothing when the usual directory is meant. */
export const dataFlag = (data: string | undefined): string => {
  if (data === undefined) return ""
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(data) ? ` --data ${data}` : ` --data '${data.replaceAll("'", "'\\''")}'`
}
