/** The least that a server in Node can do: sockets, and bytes that are ready. What it takes, everybody takes here. */
import { createServer, type Socket } from "node:net"

const headEnd = Buffer.from("\r\n\r\n")
const made = Buffer.from("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
const taken = Buffer.from("HTTP/1.1 204 No Content\r\n\r\n")
const opened = Buffer.from("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

/** As large as the events of one append of the bench are. */
const event = `event: data\ndata:${"x".repeat(256)}\n\nevent: control\ndata:${"y".repeat(98)}\n\n`
const frame = Buffer.from(`${event.length.toString(16)}\r\n${event}\r\n`)

interface Stored {
  bytes: Array<Buffer>
  readonly listeners: Set<Socket>
}

const streams = new Map<string, Stored>()

const storedAt = (path: string): Stored => {
  const known = streams.get(path) ?? { bytes: [], listeners: new Set<Socket>() }
  streams.set(path, known)
  return known
}

const append = (socket: Socket, { bytes, listeners }: Stored, body: Buffer): void => {
  bytes.push(body)
  socket.write(taken)
  for (const listener of listeners) listener.write(frame)
}

const read = (socket: Socket, stored: Stored): void => {
  if (stored.bytes.length > 1) stored.bytes = [Buffer.concat(stored.bytes)]
  const [whole = Buffer.alloc(0)] = stored.bytes
  socket.cork()
  socket.write(`HTTP/1.1 200 OK\r\nstream-up-to-date: true\r\ncontent-length: ${whole.length}\r\n\r\n`)
  socket.write(whole)
  socket.uncork()
}

const listen = (socket: Socket, { listeners }: Stored): void => {
  socket.write(opened)
  listeners.add(socket)
  socket.once("close", () => listeners.delete(socket))
}

const answer = (socket: Socket, head: string, body: Buffer): void => {
  const [method = "", target = ""] = head.split(" ", 2)
  const [path = "", query = ""] = target.split("?", 2)
  const stored = storedAt(path)
  if (method === "PUT") socket.write(made)
  else if (method === "POST") append(socket, stored, body)
  else if (query.includes("live=sse")) listen(socket, stored)
  else read(socket, stored)
}

const serve = (socket: Socket): void => {
  socket.setNoDelay(true)
  socket.on("error", () => socket.destroy())
  let waiting: Buffer = Buffer.alloc(0)
  socket.on("data", (part: Buffer) => {
    waiting = waiting.length === 0 ? part : Buffer.concat([waiting, part])
    for (let end = waiting.indexOf(headEnd); end >= 0; end = waiting.indexOf(headEnd)) {
      const head = waiting.toString("latin1", 0, end)
      const from = end + headEnd.length
      const to = from + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
      if (waiting.length < to) return
      answer(socket, head, Buffer.from(waiting.subarray(from, to)))
      waiting = waiting.subarray(to)
    }
  })
}

if (import.meta.main) {
  const server = createServer(serve)
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    if (typeof address === "object") console.log(`at http://127.0.0.1:${address?.port}`)
  })
}
