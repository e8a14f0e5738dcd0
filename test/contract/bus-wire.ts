/** A client that is nothing but a socket: it sends what it is told, and keeps what it gets. */
import { connect, type Socket } from "node:net"

export interface Wire {
  readonly socket: Socket
  readonly send: (text: string | Uint8Array) => void
  /** All that came, up to and with the first place where this stands; it is taken out. Fails after ten seconds. */
  readonly until: (wanted: string) => Promise<string>
  /** What came and was not taken out. */
  readonly rest: () => string
  /** Ends when the other side has closed the connection. */
  readonly closed: Promise<void>
  readonly close: () => void
}

const patienceMs = 10_000
export const plainConnect = 'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'

/** Connects, takes the INFO line, and says CONNECT when `hello` is given. */
export const wire = async (url: string, hello = plainConnect): Promise<Wire> => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  let text = ""
  let isClosed = false
  let look = () => {}
  socket.setEncoding("latin1")
  socket.on("data", (chunk) => {
    text += String(chunk)
    look()
  })
  // A reset is one of the ways in which the other side closes.
  socket.on("error", () => {})
  const closed = new Promise<void>((resolve) => {
    socket.on("close", () => {
      isClosed = true
      look()
      resolve()
    })
  })
  const until = (wanted: string) =>
    new Promise<string>((resolve, reject) => {
      const fail = (why: string) =>
        reject(new Error(`${why} before ${JSON.stringify(wanted)}: ${JSON.stringify(text)}`))
      const timer = setTimeout(() => fail("time is up"), patienceMs)
      look = () => {
        const at = text.indexOf(wanted)
        if (at < 0 && !isClosed) return
        clearTimeout(timer)
        look = () => {}
        if (at < 0) {
          fail("closed")
          return
        }
        resolve(text.slice(0, at + wanted.length))
        text = text.slice(at + wanted.length)
      }
      look()
    })
  await until("\r\n")
  const made: Wire = {
    socket,
    send: (bytes) => void socket.write(bytes),
    until,
    rest: () => text,
    closed,
    close: () => socket.destroy()
  }
  if (hello !== "") made.send(hello)
  return made
}
