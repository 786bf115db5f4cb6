import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { controlService as hypervisorService } from "@nve/hypervisor-agent/control";
import { call, serve } from "@nve/program";
import { HypervisorAgentService, SwitchAgentService } from "@nve/protocol-spec/proto/agent";
import { NorthboundService } from "@nve/protocol-spec/proto/northbound";
import { NveService } from "@nve/protocol-spec/proto/nve";
import { controlService as switchService } from "@nve/switch-agent/control";
import { expect, test } from "vitest";
import { rig } from "./rig.ts";

const raw = (octets: Buffer): Buffer => octets;
/** A field of 127 octets that ends after 2; a wire type that there is none; a tag without an end. */
const damaged = ["0a7f0102", "0f", "ffffffffffffffffffffff"].map((hex) => Buffer.from(hex, "hex"));

type Method = { path: string; requestStream: boolean; responseStream: boolean };
const methodsOf = (...services: readonly object[]): Method[] =>
  services.flatMap((service) => Object.values(service) as Method[]);

/** What a method answers to one message of these octets. */
function answerTo(client: grpc.Client, method: Method, octets: Buffer): Promise<unknown> {
  const { path, requestStream, responseStream } = method;
  return new Promise((resolve) => {
    const done = (error: grpc.ServiceError | null): void => resolve(error);
    if (requestStream) {
      const stream = client.makeBidiStreamRequest(path, raw, raw);
      stream.on("error", done).on("data", () => {});
      stream.write(octets);
    } else if (responseStream) {
      const stream = client.makeServerStreamRequest(path, raw, raw, octets);
      stream.on("error", done).on("data", () => {});
    } else client.makeUnaryRequest(path, raw, raw, octets, done);
  });
}

async function refusesDamage(client: grpc.Client, methods: readonly Method[]): Promise<void> {
  expect(methods.length).toBeGreaterThan(4);
  for (const method of methods)
    for (const octets of damaged)
      expect(await answerTo(client, method, octets), method.path).toMatchObject({
        code: grpc.status.INVALID_ARGUMENT,
        details: expect.stringContaining(
          `cannot be read as a request of ${method.path.slice(1)}: `,
        ),
      });
}

test("no call of the NVA takes a message that cannot be decoded, and the NVA goes on", async () => {
  const nva = await rig();
  try {
    const client = nva.nveClient();
    await refusesDamage(client, methodsOf(NorthboundService, NveService));
    expect(await call(nva.northbound, nva.northbound.status, {})).toMatchObject({ vns: 0 });
  } finally {
    await nva.stop();
  }
});

test("nor does one of the agents' control sockets", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nve-control-"));
  const never = (): never => {
    throw new Error("asked");
  };
  const services = [
    [switchService(new Promise(() => {})), SwitchAgentService],
    [hypervisorService(never, never, never), HypervisorAgentService],
  ] as const;
  try {
    for (const [service, definition] of services) {
      const serving = await serve(`unix:${join(folder, "control.sock")}`, [service]);
      const client = new grpc.Client(serving.address, grpc.credentials.createInsecure());
      try {
        await refusesDamage(client, methodsOf(definition));
      } finally {
        client.close();
        await serving.close();
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
