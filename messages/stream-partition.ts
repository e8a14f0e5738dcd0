/** What a partition of streams says and hears: one actor per shard holds the streams that hash to it. */
import { Schema } from "effect"
import { Fence, fenceCommands, fenceEvents, fenceRefusals } from "./fence.ts"
import { Caller, Millis } from "./ids.ts"
import { protocol } from "./protocol.ts"
import { storedCommands, storedEvents, storedRefusals } from "./stored.ts"
import { partitionKind, StreamKey } from "./stream.ts"
import { subscriptionCommands, subscriptionEvents, subscriptionQueries, subscriptionRefusals } from "./subscription.ts"

const stream = StreamKey
/** It is sent back in a header, so it holds nothing that cannot stand in one. */
const contentType = Schema.String.check(Schema.isMaxLength(256), Schema.isPattern(/^[\x20-\x7e\x80-\xff]*$/))
const offset = Schema.Natural
const empty = Schema.Struct({})
const objectKey = Schema.String.check(Schema.isMaxLength(200))

/** SHA-256 in hexadecimal. */
const digest = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
/** How a stream proves what was appended to it. */
const proof = { proof: Schema.optionalKey(Schema.Literal("sha-256")) }

/** Where a run of appends lies in an object: its index there, and the offsets at which its blocks end. */
const indexed = { index: Schema.Natural, indexBytes: Schema.Natural }
const section = { stream, from: offset, to: offset, ...indexed, ends: Schema.Array(offset) }

/** What somebody sends: text, bytes, or the key of an object that was stored before, because it is large. */
export const Payload = Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  base64: Schema.optionalKey(Schema.String),
  /** Its bytes are as they are read later; `count` says how many messages they hold. */
  object: Schema.optionalKey(
    Schema.Struct({ key: objectKey, size: Schema.Natural, count: Schema.Natural, sha256: Schema.optionalKey(digest) })
  )
})
export type Payload = typeof Payload.Type

/** What was appended, as readers get it: messages of a JSON stream each end with a comma. */
export const Wire = Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  base64: Schema.optionalKey(Schema.String),
  object: Schema.optionalKey(objectKey),
  /** Of what is read: the object is a segment of several streams, and the bytes begin `skip` behind `from`. */
  segment: Schema.optionalKey(Schema.Struct({ ...indexed, from: offset, skip: Schema.Natural })),
  size: Schema.Natural,
  count: Schema.Natural,
  /** Of what is stored as an object, and is appended to a stream with a proof. */
  sha256: Schema.optionalKey(digest)
})
export type Wire = typeof Wire.Type

export const Producer = Schema.Struct({
  id: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(256)),
  epoch: Schema.Natural,
  seq: Schema.Natural
})
export type Producer = typeof Producer.Type

const order = Schema.String.check(Schema.isMaxLength(256))
const attributes = Schema.Record(Schema.String, Schema.Json)

/** Where a fork comes from: it shares its source's data before `offset`, and holds a pin on it. */
export const Origin = Schema.Struct({
  source: stream,
  /** The actor that has the source. */
  partition: Schema.String,
  pin: Schema.String,
  offset,
  /** The offset that was asked for, when one was. */
  asked: Schema.optionalKey(offset),
  sub: Schema.Natural,
  /** Before this the source kept nothing when it was forked. */
  floor: Schema.optionalKey(offset)
})
export type Origin = typeof Origin.Type

const append = {
  stream,
  contentType: Schema.optionalKey(contentType),
  body: Schema.optionalKey(Payload),
  close: Schema.optionalKey(Schema.Boolean),
  producer: Schema.optionalKey(Producer),
  seq: Schema.optionalKey(order),
  /** The tail that the writer expects. */
  ifTail: Schema.optionalKey(offset),
  /** It is appended only while this round of a subscription goes on. */
  fence: Schema.optionalKey(Fence)
}
export const Append = Schema.Struct(append)
export type Append = typeof Append.Type

export const Appended = Schema.Struct({
  from: offset,
  tail: offset,
  closed: Schema.Boolean,
  duplicate: Schema.Boolean,
  producer: Schema.optionalKey(Schema.Struct({ epoch: Schema.Natural, seq: Schema.Natural }))
})
export type Appended = typeof Appended.Type

/** What is told of a stream. */
export const StreamInfo = Schema.Struct({
  stream: Schema.String,
  contentType,
  tail: offset,
  closed: Schema.Boolean,
  createdAt: Millis,
  writtenAt: Millis,
  ttlS: Schema.optionalKey(Schema.Natural),
  expiresAt: Schema.optionalKey(Schema.String),
  floor: offset,
  snapshot: Schema.optionalKey(offset),
  /** Behind this nothing lies in segments. */
  sealed: Schema.optionalKey(offset),
  producers: Schema.Natural,
  forks: Schema.Natural,
  forkedFrom: Schema.optionalKey(Origin),
  attributes: Schema.optionalKey(attributes),
  /** The last digest of its hash chain. */
  proof: Schema.optionalKey(digest)
})
export type StreamInfo = typeof StreamInfo.Type

const expiry = {
  ttlS: Schema.optionalKey(Schema.Natural),
  /** As it was sent, for it is compared and given back so. */
  expiresAt: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))),
  expiresMs: Schema.optionalKey(Schema.Natural)
}

const Snapshot = Schema.Struct({
  offset,
  contentType,
  object: objectKey,
  size: Schema.Natural,
  digest: Schema.String
})

const count = Schema.Struct({ streams: Schema.Natural, bytes: Schema.Natural })
/** What there is of an organisation, and of one of its buckets. */
export const Usage = Schema.Struct({ organisation: count, bucket: count })
export type Usage = typeof Usage.Type

export const streamPartition = protocol({
  kind: partitionKind,
  commands: {
    CreateStream: {
      input: Schema.Struct({
        stream,
        contentType,
        ...expiry,
        closed: Schema.optionalKey(Schema.Boolean),
        body: Schema.optionalKey(Payload),
        origin: Schema.optionalKey(Origin),
        /** What a fork takes over of the append that begins at its offset, as its source has it. */
        prefix: Schema.optionalKey(Wire),
        attributes: Schema.optionalKey(attributes),
        ...proof
      }),
      reply: Schema.Struct({ created: Schema.Boolean, info: StreamInfo })
    },
    Append: { input: Append, reply: Appended },
    /** All of them, or none: the streams are of one partition. */
    AppendAll: {
      input: Schema.Struct({ operations: Schema.Array(Append) }),
      reply: Schema.Struct({ appended: Schema.Array(Appended) })
    },
    /** A reader was there: the time to live begins anew. */
    TouchStream: { input: Schema.Struct({ stream }), reply: empty },
    DeleteStream: { input: Schema.Struct({ stream }), reply: empty },
    /** A fork is about to be made: what it shares is kept while the pin is. */
    PinStream: {
      input: Schema.Struct({
        stream,
        pin: Schema.String,
        contentType: Schema.optionalKey(contentType),
        offset: Schema.optionalKey(offset)
      }),
      reply: Schema.Struct({ info: StreamInfo, offset })
    },
    ConfirmPin: { input: Schema.Struct({ stream, pin: Schema.String }), reply: empty },
    UnpinStream: { input: Schema.Struct({ stream, pin: Schema.String }), reply: empty },
    SetAttributes: { input: Schema.Struct({ stream, attributes }), reply: empty },
    PublishSnapshot: {
      input: Schema.Struct({ stream, snapshot: Snapshot, ifDigest: Schema.optionalKey(Schema.String) }),
      reply: empty
    },
    /** An object has the bytes of these ranges: they need not be in memory any more. */
    Seal: {
      input: Schema.Struct({
        object: objectKey,
        sections: Schema.Array(Schema.Struct({ ...section, createdAt: Millis }))
      }),
      reply: Schema.Struct({ sealed: Schema.Natural })
    },
    /** Objects that nobody needed were deleted. */
    ForgetObjects: { input: Schema.Struct({ objects: Schema.Array(objectKey) }), reply: empty },
    RetainFrom: { input: Schema.Struct({ stream, offset }), reply: Schema.Struct({ floor: offset }) },
    ...storedCommands,
    ...subscriptionCommands,
    ...fenceCommands
  },
  queries: {
    ShowStream: { input: Schema.Struct({ stream }), reply: Schema.Struct({ info: StreamInfo }) },
    /** For nodes that do not hold the partition, and for NATS clients: as many whole appends as fit into a message. */
    ReadStream: {
      input: Schema.Struct({
        stream,
        from: offset,
        bytesMax: Schema.optionalKey(Schema.Natural),
        /** For a fork, which shares what lies before this offset: also when the stream itself is deleted. */
        sharedUpTo: Schema.optionalKey(offset)
      }),
      reply: Schema.Struct({ info: StreamInfo, from: offset, next: offset, wires: Schema.Array(Wire) })
    },
    /** The append that begins at this offset. */
    ReadUnit: { input: Schema.Struct({ stream, from: offset }), reply: Schema.Struct({ wire: Wire }) },
    ShowSnapshot: { input: Schema.Struct({ stream }), reply: Schema.Struct({ snapshot: Snapshot }) },
    /** The hash chain: its end, and places from which it can be redone. */
    ShowProof: {
      input: Schema.Struct({ stream }),
      reply: Schema.Struct({
        ...{ createdAt: Millis, tail: offset, digest },
        anchors: Schema.Array(Schema.Struct({ offset, digest }))
      })
    },
    ListStreams: {
      input: Schema.Struct({
        prefix: Schema.String,
        after: Schema.optionalKey(Schema.String),
        limit: Schema.optionalKey(Schema.Natural)
      }),
      reply: Schema.Struct({ streams: Schema.Array(StreamInfo), more: Schema.Boolean })
    },
    ShowUsage: { input: Schema.Struct({ org: Schema.String, bucket: Schema.String }), reply: Usage },
    ...subscriptionQueries
  },
  refusal: Schema.TaggedUnion({
    NoSuchStream: { stream: Schema.String },
    /** It was deleted, and is kept for its forks alone. */
    StreamGone: { stream: Schema.String },
    StreamExists: { stream: Schema.String, differs: Schema.String },
    StreamClosed: { stream: Schema.String, tail: offset },
    WrongContentType: { expected: Schema.String },
    MissingContentType: {},
    EmptyAppend: {},
    NotJson: { why: Schema.String },
    StaleEpoch: { epoch: Schema.Natural },
    NewEpochNotAtZero: { seq: Schema.Natural },
    SequenceGap: { expected: Schema.Natural, received: Schema.Natural },
    OutOfOrder: { last: Schema.String },
    WrongTail: { tail: offset },
    BadForkOffset: { why: Schema.String },
    BelowFloor: { floor: offset },
    BadSnapshot: { why: Schema.String },
    NoSnapshot: {},
    NoProof: {},
    OtherPartition: { stream: Schema.String },
    Full: { what: Schema.String, max: Schema.Natural },
    FailedOperation: { index: Schema.Natural, refused: Schema.Unknown },
    ...storedRefusals,
    ...subscriptionRefusals,
    ...fenceRefusals
  }),
  event: Schema.TaggedUnion({
    StreamCreated: {
      stream,
      contentType,
      ...expiry,
      origin: Schema.optionalKey(Origin),
      attributes: Schema.optionalKey(attributes),
      ...proof,
      by: Caller
    },
    Appended: {
      stream,
      from: offset,
      wire: Wire,
      producer: Schema.optionalKey(Producer),
      seq: Schema.optionalKey(order)
    },
    StreamClosed: { stream, producer: Schema.optionalKey(Producer) },
    StreamTouched: { stream },
    /** Kept for its forks. */
    StreamHidden: { stream },
    StreamRemoved: { stream, origin: Schema.optionalKey(Origin) },
    StreamPinned: { stream, pin: Schema.String, until: Millis },
    PinConfirmed: { stream, pin: Schema.String },
    StreamUnpinned: { stream, pin: Schema.String },
    AttributesSet: { stream, attributes },
    SnapshotPublished: { stream, snapshot: Snapshot },
    FloorRaised: { stream, floor: offset },
    Sealed: { object: objectKey, sections: Schema.Array(Schema.Struct(section)) },
    ObjectsForgotten: { objects: Schema.Array(objectKey) },
    /** The partition's timer rang: what it found is in the events beside it. */
    Swept: {},
    ...storedEvents,
    ...subscriptionEvents,
    ...fenceEvents
  })
})
export type StreamPartition = typeof streamPartition
