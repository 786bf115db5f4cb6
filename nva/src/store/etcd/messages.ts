import type grpc from "@grpc/grpc-js";
import {
  bool,
  bytes,
  type Codec,
  enumeration,
  int64,
  type Message,
  many,
  message,
  nested,
  part,
  repeated,
  text,
} from "./wire.ts";

// What we use of etcd's API v3: the names and field numbers of its rpc.proto and kv.proto.

const Header = message({ memberId: int64(2), revision: int64(3) });

const KeyValue = message({
  key: bytes(1),
  createRevision: int64(2),
  modRevision: int64(3),
  value: bytes(5),
  lease: int64(6),
});
export type KeyValue = Message<typeof KeyValue>;

const RangeRequest = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: int64(3),
  revision: int64(4),
  serializable: bool(7),
  keysOnly: bool(8),
});
export type RangeRequest = Message<typeof RangeRequest>;
const RangeResponse = message({ header: nested(1, Header), kvs: many(2, KeyValue), more: bool(3) });
export type RangeResponse = Message<typeof RangeResponse>;

const PutRequest = message({ key: bytes(1), value: bytes(2), lease: int64(3) });
const DeleteRequest = message({ key: bytes(1), rangeEnd: bytes(2) });

const RequestOp = message({
  range: part(1, RangeRequest),
  put: part(2, PutRequest),
  delete: part(3, DeleteRequest),
});
export type Op = Partial<Message<typeof RequestOp>>;
const ResponseOp = message({ range: nested(1, RangeResponse) });

const Compare = message({
  /** 0: equal. */
  result: enumeration(1),
  target: enumeration(2),
  key: bytes(3),
  createRevision: int64(5),
  modRevision: int64(6),
});
export type Compare = Partial<Message<typeof Compare>>;
/** A key was made at this revision; 0: is not there. */
export const created = (key: Buffer, createRevision: bigint): Compare => ({
  target: 1,
  key,
  createRevision,
});
/** A key was last changed at this revision; 0: is not there. */
export const modified = (key: Buffer, modRevision: bigint): Compare => ({
  target: 2,
  key,
  modRevision,
});

const TxnRequest = message({
  compare: repeated(1, Compare),
  success: repeated(2, RequestOp),
  failure: repeated(3, RequestOp),
});
export type TxnRequest = Message<typeof TxnRequest>;
const TxnResponse = message({
  header: nested(1, Header),
  succeeded: bool(2),
  responses: many(3, ResponseOp),
});
export type TxnResponse = Message<typeof TxnResponse>;

const WatchCreate = message({ key: bytes(1), rangeEnd: bytes(2), startRevision: int64(3) });
const Nothing = message<object>({});
const WatchRequest = message({
  create: part(1, WatchCreate),
  progress: part(3, Nothing),
});
const Event = message({
  /** 0: put, 1: deleted. */
  type: enumeration(1),
  kv: nested(2, KeyValue),
});
export type Event = Message<typeof Event>;
const WatchResponse = message({
  header: nested(1, Header),
  created: bool(3),
  canceled: bool(4),
  compactRevision: int64(5),
  cancelReason: text(6),
  events: many(11, Event),
});
export type WatchRequest = Message<typeof WatchRequest>;
export type WatchResponse = Message<typeof WatchResponse>;

const LeaseGrantRequest = message({ ttl: int64(1), id: int64(2) });
const LeaseGrantResponse = message({ id: int64(2), ttl: int64(3) });
const LeaseIdRequest = message({ id: int64(1) });
const LeaseKeepAliveResponse = message({ id: int64(2), ttl: int64(3) });

const LeaseTimeToLiveRequest = message({ id: int64(1) });
/** In whole seconds, cut off; -1: the lease is over. */
const LeaseTimeToLiveResponse = message({ id: int64(2), ttl: int64(3), granted: int64(4) });

const CompactionRequest = message({ revision: int64(1) });

export type Method<Req, Res> = { path: string; request: Codec<Req>; response: Codec<Res> };
const method = <Req, Res>(path: string, request: Codec<Req>, response: Codec<Res>) => ({
  path: `/etcdserverpb.${path}`,
  request,
  response,
});

export const methods = {
  range: method("KV/Range", RangeRequest, RangeResponse),
  txn: method("KV/Txn", TxnRequest, TxnResponse),
  compact: method("KV/Compact", CompactionRequest, Nothing),
  grant: method("Lease/LeaseGrant", LeaseGrantRequest, LeaseGrantResponse),
  revoke: method("Lease/LeaseRevoke", LeaseIdRequest, Nothing),
  keepAlive: method("Lease/LeaseKeepAlive", LeaseIdRequest, LeaseKeepAliveResponse),
  timeToLive: method("Lease/LeaseTimeToLive", LeaseTimeToLiveRequest, LeaseTimeToLiveResponse),
  watch: method("Watch/Watch", WatchRequest, WatchResponse),
};

/** The end of the range of all keys that begin with `prefix`. */
export function afterPrefix(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end[last] = (end[last] ?? 0) + 1; // ours end in printable ASCII
  return end;
}

export type Stream<Req, Res> = grpc.ClientDuplexStream<Partial<Req>, Res>;
