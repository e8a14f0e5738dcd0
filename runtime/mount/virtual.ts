/**
 * The files of the mount itself, at its root: `.stats`, `.accesslog` and `.config`. They are found by name, not
 * listed.
 */
import { rootIno } from "../../messages/names.ts"
import type { Stat } from "../ports/mount.ts"

export type VirtualName = ".stats" | ".accesslog" | ".config"

/** Past any inode that a workspace gives out, and exact as a number. */
const firstIno = 2 ** 52
const names: ReadonlyArray<VirtualName> = [".stats", ".accesslog", ".config"]

/** Reads of them are not cached, so their size only has to be more than nothing. */
const sizeShown = 64 * 1024

export const virtualIno = (parent: number, name: string): number => {
  if (parent !== rootIno || name.charCodeAt(0) !== 0x2e) return -1
  const at = names.indexOf(name as VirtualName)
  return at < 0 ? -1 : firstIno + at
}

export const isVirtual = (ino: number): boolean => ino >= firstIno

export const virtualName = (ino: number): VirtualName | undefined => names[ino - firstIno]

export const virtualStat = (into: Stat, ino: number): Stat => {
  into.ino = ino
  // Who mounted may read them, and nobody writes: `.accesslog` tells what everybody does.
  into.mode = 0o100400
  into.nlink = 1
  into.uid = 0
  into.gid = 0
  into.rdev = 0
  into.size = sizeShown
  into.used = 0
  into.atimeS = 0
  into.atimeNs = 0
  into.mtimeS = 0
  into.mtimeNs = 0
  into.ctimeS = 0
  into.ctimeNs = 0
  return into
}
