/**
 * The mount contract on the kernel's own protocol, for a tree that the asking thread has and for one that the main
 * has.
 */
import { describe, it } from "vitest"
import { mountContract } from "../contract/mount.ts"
import { leftOut } from "./fuse-able.ts"
import { started } from "./fuse-started.ts"

if (leftOut("the contract of mounts")) {
  describe.skip("Mount: fuse", () => {
    it("needs mounts", () => undefined)
  })
} else {
  mountContract("fuse, answered by the thread that asks", () => started({ where: "worker" }, {}))
  mountContract("fuse, answered by the main thread", () => started({ where: "main" }, {}))
  // The kernel then takes its own word for sizes: such a mount alone writes, so there is nothing to be told.
  const gathering = () => started({ where: "main" }, { writeback: true, explicitPages: true })
  mountContract("fuse, with writes gathered by the kernel", gathering, {
    invalidation: "the kernel believes itself alone"
  })
}
