/** Which commands a workspace accepts, and what comes of them. */
import type { Context, Tick } from "../../decider.ts"
import type { Tree } from "../tree/tree.ts"
import { tellAhead } from "./ahead.ts"
import { removeXattr, setAttr, setXattr, truncate } from "./attributes.ts"
import { append, copyRange, fallocate, write } from "./bytes.ts"
import { giveBack } from "./loans.ts"
import { cancelLock, lock, unlock } from "./locks.ts"
import { create, createNameless, link, mkdir, mknod, rmdir, symlink, unlink } from "./names.ts"
import { letGo, open } from "./orphans.ts"
import { rename } from "./rename.ts"
import { type Command, callerFault, type Of, type Outcome } from "./rules.ts"
import { beginSession, collect, configure, endSession, reserveSlices, tick } from "./sessions.ts"
import { madeWay } from "./touched.ts"

const rules: {
  readonly [Tag in Command["_tag"]]: (tree: Tree, command: Of<Tag>, context: Context) => Outcome
} = {
  Configure: configure,
  BeginSession: beginSession,
  EndSession: endSession,
  Create: create,
  CreateNameless: createNameless,
  Mkdir: mkdir,
  Mknod: mknod,
  Symlink: symlink,
  Link: link,
  Unlink: unlink,
  Rmdir: rmdir,
  Rename: rename,
  SetAttr: setAttr,
  Truncate: truncate,
  Fallocate: fallocate,
  Write: write,
  Append: append,
  CopyRange: copyRange,
  SetXattr: setXattr,
  RemoveXattr: removeXattr,
  Open: open,
  Release: letGo,
  Lock: lock,
  Unlock: unlock,
  CancelLock: cancelLock,
  ReserveSlices: reserveSlices,
  TellAhead: tellAhead,
  GiveBack: giveBack,
  Collect: collect
}

export const decide = (tree: Tree, command: Command | Tick, context: Context): Outcome => {
  if (command._tag === "Tick") return tick(tree, context)
  const fault = callerFault(tree, context.caller)
  if (fault !== undefined) return fault
  const way = madeWay(tree, command, context)
  if (way !== undefined) return way
  const rule = rules[command._tag] as (tree: Tree, command: Command, context: Context) => Outcome
  return rule(tree, command, context)
}
