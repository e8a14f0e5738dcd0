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

/**
 * How long a client waits for one attempt before it asks again with the same command id. A request that dies with its
 * node is not answered at all, so this is less than a lease.
 */
export const attemptMs = 2_000

/** Workspaces and keys of one account; their registry is one actor's state and has to stay small enough to hold. */
export const accountWorkspacesMax = 100_000
export const accountKeysMax = 10_000

/** A session that shows no sign of life for so long expires, where whoever began it did not ask for another time. */
export const sessionMs = 60_000
/** Less would end sessions for one slow moment of a host; with more, its locks bar others for long. */
export const sessionLeastMs = 5_000
export const sessionMostMs = 3_600_000
/** That many signs of life fit into a session's time, so that one that is late ends nothing. */
export const beatsPerLife = 5
/** A host that is asked for a directory answers in milliseconds, and in seconds where it has to find out first. */
export const doubtMs = 3_000
/** A session that is doubted has time for its next sign of life, and so long for it to be late. */
export const lateMs = 3_000

/** A stream's key stands in URLs and in every entry of its journal. */
export const streamKeyBytesMax = 900

/** Escaping makes six bytes of one at worst: below this a payload fits into an entry whatever it holds. */
export const streamInlineBytesMax = 128 * 1024

/** One append's payload, which a node holds in memory while it stores it. */
export const streamAppendBytesMax = 64 * 1024 * 1024

/** Payloads that a partition keeps in memory and in its snapshots; behind it appends are refused. */
export const partitionHotBytesMax = 64 * 1024 * 1024

/** Streams of one partition: a state of 1.5 KiB each has to fit into a node's memory beside others. */
export const partitionStreamsMax = 1_000_000

/** Producers that a stream remembers; the one that was silent for longest is forgotten first. */
export const streamProducersMax = 4096

/** A producer that was silent for a week does not repeat anything any more. */
export const producerIdleMs = 7 * 24 * 60 * 60 * 1000

/** Ranges that a producer's retries are answered from with their original offsets. */
export const producerRangesMax = 16

/** Operations of one atomic append, which is one entry of the journal. */
export const transactionOperationsMax = 512

/** Streams of one page of a list. */
export const streamPageMax = 1000

/** A stream's attributes, as JSON. */
export const streamAttributesBytesMax = 16 * 1024
