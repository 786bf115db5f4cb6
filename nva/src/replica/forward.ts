import grpc from "@grpc/grpc-js";

/** A method, as its service defines it. */
export type Defined = grpc.MethodDefinition<unknown, unknown>;
/** Whatever its kind: what calls of all kinds have. */
export type ServerCall = grpc.ServerUnaryCall<unknown, unknown> &
  grpc.ServerDuplexStream<unknown, unknown>;
type Status = { code: grpc.status; details: string };

/**
 * Passes one call on, as octets, to where it is answered, and the answers back.
 * @param over when the call has ended, whoever ended it
 */
export function forward(
  client: grpc.Client,
  method: Defined,
  call: ServerCall,
  metadata: grpc.Metadata,
  { done, over }: { done: grpc.sendUnaryData<unknown> | undefined; over: () => void },
): { end(status: Status): void } {
  let finished = false;
  const finish = (status: Status | undefined, response?: Buffer): void => {
    if (finished) return;
    finished = true;
    over();
    onward.cancel();
    if (done !== undefined) done(status ?? null, response);
    else if (status === undefined) call.end();
    else call.emit("error", status);
    if (method.requestStream) call.resume(); // what still arrives is read past
  };
  const onward = begin(client, method, call, metadata, finish);
  call.on("cancelled", () => finish({ code: grpc.status.CANCELLED, details: "cancelled" }));
  return { end: finish };
}

type Finish = (status: Status | undefined, response?: Buffer) => void;

function begin(
  client: grpc.Client,
  method: Defined,
  call: ServerCall,
  metadata: grpc.Metadata,
  finish: Finish,
): { cancel(): void } {
  const { path, requestStream, responseStream } = method;
  const options = { deadline: call.getDeadline() };
  const octets = (): Buffer => method.requestSerialize(call.request);
  const answered = (error: grpc.ServiceError | null, response?: Buffer): void =>
    finish(error ? statusOf(error) : undefined, response);
  if (requestStream && responseStream) {
    const onward = client.makeBidiStreamRequest(path, same, same, metadata, options);
    pour(call, onward);
    call.on("end", () => onward.end());
    receive(onward, call, finish);
    return onward;
  }
  if (responseStream) {
    const onward = client.makeServerStreamRequest(path, same, same, octets(), metadata, options);
    receive(onward, call, finish);
    return onward;
  }
  if (requestStream) {
    const onward = client.makeClientStreamRequest(path, same, same, metadata, options, answered);
    pour(call, onward);
    call.on("end", () => onward.end());
    return onward;
  }
  return client.makeUnaryRequest(path, same, same, octets(), metadata, options, answered);
}

/** Answers of a stream. */
function receive(
  onward: grpc.ClientReadableStream<Buffer>,
  call: ServerCall,
  finish: Finish,
): void {
  pour(onward, call);
  onward.on("end", () => finish(undefined));
  onward.on("error", (error: grpc.ServiceError) => finish(statusOf(error)));
}

type Source = { on(event: "data", heard: (message: Buffer) => void): unknown } & Pausing;
type Pausing = { pause(): unknown; resume(): unknown };
type Sink = { write(message: Buffer): boolean; on(event: "drain", heard: () => void): unknown };

/** No faster than it is taken: what is under way is bounded. */
function pour(from: Source, to: Sink): void {
  to.on("drain", () => from.resume());
  from.on("data", (message) => {
    if (!Buffer.isBuffer(message)) return; // came when this replica had just begun to decide
    if (!to.write(message)) from.pause();
  });
}

const same = (octets: Buffer): Buffer => octets;

const statusOf = ({ code, details, metadata }: grpc.ServiceError) => ({ code, details, metadata });
