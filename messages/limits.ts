/** Every limit that a caller can meet, each with its reason. */

/** A NATS server refuses a larger payload unless it is configured otherwise; we stay within its default. */
export const messageBytesMax = 1024 * 1024

/** What a journal batch may take of one message: the rest is left for headers and for the claim's own fields. */
export const batchBytesMax = messageBytesMax - 16 * 1024

/** An entry has to fit into one batch with its head, so that one command is one atomic write. */
export const entryBytesMax = batchBytesMax - 4 * 1024

/** A batch's entries are numbered within it, and the number shares an integer with the batch's place in the log. */
export const batchEntriesMax = 4096

/** Waiting commands of one actor: at 100 µs each this is a tenth of a second, past which Busy is the kinder answer. */
export const mailboxCommandsMax = 1024

/** Waiting commands of one shard, so that many actors together cannot fill the memory of a node either. */
export const shardCommandsMax = 16_384

/** Answers kept for retries, per actor. A client that retries within its deadline is far inside of this. */
export const windowAnswersMax = 1024

/** The answers kept for retries take no more than this, per actor: large replies shorten the window, not the memory. */
export const windowBytesMax = 1024 * 1024

/** How long a client keeps on asking by default: longer than a JetStream election, which takes 4 to 9 seconds. */
export const patienceMs = 20_000

/** How long a client waits for one attempt before it asks again with the same command id. */
export const attemptMs = 5_000

/** Workspaces and keys of one account; their registry is one actor's state and has to stay small enough to hold. */
export const accountWorkspacesMax = 100_000
export const accountKeysMax = 10_000

/** A mount shows a sign of life this often; five of them may be missed before its session expires. */
export const heartbeatMs = 12_000
export const sessionMs = 60_000
