import grpc from "@grpc/grpc-js";
import { systemClock } from "@nve/linux/clock";
import { EtcdClient, patienceMs } from "@nve/nva/store/etcd/client";
import { methods } from "@nve/nva/store/etcd/messages";
import { expect, onTestFinished, test } from "vitest";

test("each round of all members without an answer doubles the time of a try, up to 2 s", () => {
  const of = (members: number) => [0, 1, 2, 3, 6, 100].map((n) => patienceMs(n, members));
  expect(of(1)).toEqual([500, 1000, 2000, 2000, 2000, 2000]);
  expect(of(3)).toEqual([500, 500, 500, 1000, 2000, 2000]);
});

test("a member that takes longer than a try is asked until it has answered", async () => {
  const { path, request, response } = methods.range;
  const server = new grpc.Server();
  const range = {
    ...{ path, requestStream: false, responseStream: false },
    ...{ requestSerialize: request.encode, requestDeserialize: request.decode },
    ...{ responseSerialize: response.encode, responseDeserialize: response.decode },
  };
  const slowly: grpc.handleUnaryCall<unknown, object> = (_, done) =>
    void setTimeout(() => done(null, {}), 700);
  server.addService({ range }, { range: slowly });
  onTestFinished(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  const client = new EtcdClient([`127.0.0.1:${port}`], systemClock);
  onTestFinished(() => client.close());
  await expect(client.call(methods.range, {})).rejects.toThrow("Deadline exceeded");
  const { kvs } = await client.insist(() => client.call(methods.range, {}));
  expect(kvs).toEqual([]);
});
