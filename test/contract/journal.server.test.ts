/** Which NATS servers a journal may be kept on. */
import { describe, expect, it } from "vitest"
import { objectionsTo } from "../../adapters/jetstream/server.ts"

describe("a NATS server", () => {
  it("is refused in a cluster when it is older than the fence's repair", () => {
    for (const version of ["2.9.10", "2.10.9", "2.10.22", "2.10.22-RC.1", "1.4.1", "0"]) {
      expect(objectionsTo({ cluster: "c", version }).refused).toContain(version)
    }
    for (const version of ["2.10.23", "2.10.27", "2.11.0", "2.15.2", "3.0.0"]) {
      expect(objectionsTo({ cluster: "c", version }).refused).toBeUndefined()
    }
  })

  it("alone is used at any age, with a warning where it is older than what is tested", () => {
    expect(objectionsTo({ version: "2.9.10" })).toMatchObject({ refused: undefined, warned: expect.any(String) })
    expect(objectionsTo({ version: "2.10.27" })).toEqual({ refused: undefined, warned: undefined })
  })
})
