/** What talking to a store may take, each with its reason. Tests set smaller ones. */

export interface S3Limits {
  /** Connections of one process: at 50 ms a request this is over a thousand a second, and stores allow far more. */
  readonly connectionsMax: number
  /** A store that does not take a connection in this time is away, and another of its addresses may not be. */
  readonly connectMs: number
  /** One attempt, from its start to its last byte, besides the time that its bytes take. */
  readonly attemptMs: number
  /** The slowest line that is still of use: an attempt gets a millisecond more for so many bytes. */
  readonly bytesPerMsMin: number
  /** A response that pauses for so long in its middle is dead. */
  readonly stallMs: number
  /** Stores ask for retries of 503; five of them ride over a node of theirs that restarts. */
  readonly attemptsMax: number
  /** Each wait is drawn from zero up to a bound that doubles from the first to the second: full jitter. */
  readonly waitMsFirst: number
  readonly waitMsMax: number
  /** After this no further attempt begins: the callers' own deadlines are not much longer. */
  readonly patienceMs: number
  /** Above this an object goes up in parts: one lost connection then costs a part, and parts go side by side. */
  readonly multipartBytes: number
  /** Stores want 5 MiB at least, and 10,000 parts at most: a larger object gets larger parts. */
  readonly partBytes: number
  /** Parts of one object under way at once: their bytes are in memory anyway, so this bounds the connections. */
  readonly partsAtOnce: number
  /** What DeleteObjects and ListObjectsV2 allow. */
  readonly keysPerRequest: number
}

export const s3Limits: S3Limits = {
  connectionsMax: 64,
  connectMs: 5_000,
  attemptMs: 15_000,
  bytesPerMsMin: 256,
  stallMs: 10_000,
  attemptsMax: 6,
  waitMsFirst: 100,
  waitMsMax: 3_000,
  patienceMs: 45_000,
  multipartBytes: 16 * 1024 * 1024,
  partBytes: 8 * 1024 * 1024,
  partsAtOnce: 4,
  keysPerRequest: 1000
}

export const partsMax = 10_000

/** An answer that is not an object, such as an error's XML, is small; more than this is not read. */
export const answerBytesMax = 256 * 1024
