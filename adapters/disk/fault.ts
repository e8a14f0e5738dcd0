/** What an error of the file system means to whoever uses the store. */
import { StoreDown, type StoreFailed, StoreRefused } from "../../runtime/ports/objects.ts"

export const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""

/** These stay as they are until a person changes something; all others, such as a full disk, may pass. */
const lasting = new Set(["EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ELOOP", "EISDIR", "ENOTDIR", "EXDEV", "ENOTSUP"])

const meaning: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of the disk is used up",
  EIO: "the disk failed",
  EMFILE: "too many files are open in this process",
  ENFILE: "too many files are open on this host",
  EROFS: "the file system is read-only",
  EISDIR: "other keys lie below this one, and a directory cannot be an object as well",
  ENOTDIR: "a part of this key is an object itself, and a file cannot be a directory as well"
}

export const faultOf = (operation: string, key: string, cause: unknown): StoreFailed => {
  const code = codeOf(cause)
  const said = cause instanceof Error ? cause.message : String(cause)
  const why = meaning[code] === undefined ? said : `${meaning[code]} (${said})`
  return lasting.has(code) ? new StoreRefused({ operation, key, why }) : new StoreDown({ operation, key, why })
}
