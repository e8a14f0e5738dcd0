/** What a mount reads of its host: who is dying, and what is mounted where. */
import { describe, expect, it } from "vitest"
import { isFatal } from "../../adapters/fuse/caller.ts"
import { mountpoints } from "../../adapters/fuse/place.ts"

describe("a caller", () => {
  const status = (pending: number, caught: number, shared = 0) =>
    [
      ["SigPnd", pending],
      ["ShdPnd", shared],
      ["SigBlk", 0],
      ["SigIgn", pipe],
      ["SigCgt", caught]
    ]
      .map(([name, mask]) => `${name}:\t${mask?.toString(16).padStart(16, "0")}\n`)
      .join("")
  const bit = (signal: number) => 2 ** (signal - 1)
  const [int, kill, pipe, term, child] = [bit(2), bit(9), bit(13), bit(15), bit(17)]

  it("is dying when a signal waits that it neither catches nor ignores", () => {
    expect([status(0, 0), status(child, 0), status(pipe, 0), status(int, int)].map(isFatal)).toEqual([
      false,
      false,
      false,
      false
    ])
    expect([status(kill, kill), status(term, int), status(int, int, term)].map(isFatal)).toEqual([true, true, true])
  })
})

describe("the table of mounts", () => {
  it("is read with its escapes and optional fields", () => {
    const table = [
      "22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw",
      "40 22 0:57 / /mnt/a\\040b rw - fuse.artifacts home rw,user_id=0",
      ""
    ].join("\n")
    expect(mountpoints(table)).toEqual([
      { path: "/", type: "ext4", device: "8:1" },
      { path: "/mnt/a b", type: "fuse.artifacts", device: "0:57" }
    ])
  })
})
