/** A node with a bucket as its store: one that is good, one that is not there, and credentials that are wrong. */
import { Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, start } from "./command.ts"
import { have, s3 } from "./servers.ts"

afterAll(cleanUp)

const file = "test/real/node-objects.test.ts"
const ports = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]

const onBucket = Effect.fnUntraced(function* () {
  const server = yield* s3("versitygw")
  const good = { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey }
  const node = (url: string, env: Readonly<Record<string, string>>) =>
    start(["up", "--data", freshPath(), ...ports, "--objects", url], "", env)
  yield* Effect.promise(async () => {
    const wrong = await node(server.url, { ...good, AWS_SECRET_ACCESS_KEY: "not-the-secret-at-all" }).ended
    expect(wrong).toMatchObject({ code: 1, stdout: "" })
    expect(wrong.stderr).toMatch(
      /^artifacts: the object store s3:\/\/artifacts refuses: .*\n {2}look at --objects, .*\n$/
    )
    expect(wrong.stderr).not.toContain("not-the-secret-at-all")
    const absent = await node(server.url.replace("s3://artifacts", "s3://no-such-bucket"), good).ended
    expect(absent.stderr).toContain("the object store s3://no-such-bucket refuses: NoSuchBucket")
    const bad = await node("s3://Not_A_Bucket", good).ended
    expect(bad).toMatchObject({ code: 1 })

    const up = node(server.url.replace("?", "/pre/fix?"), good)
    while (!up.told().stdout.includes("curl")) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(up.told().stdout).toContain("objects    s3://artifacts/pre/fix\n")
    expect(up.told().stdout).toContain("16 of 16 served here")
    up.child.kill("SIGTERM")
    expect(await up.ended).toMatchObject({ code: 0 })
  })
})

describe.skipIf(!have(file, "versitygw"))("a node with a bucket", () => {
  it("tries the bucket before it starts", async () => {
    await Effect.runPromise(Effect.scoped(onBucket()))
  })
})
