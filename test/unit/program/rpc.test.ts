import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { call, connect, NotFound, Refused, serve, unary } from "@nve/program";
import { NorthboundClient, NorthboundService } from "@nve/protocol-spec/proto/northbound";
import { NveService } from "@nve/protocol-spec/proto/nve";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nve-rpc-"));
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

async function server(address: string, status: () => never) {
  const serving = await serve(address, [
    { definition: NorthboundService, implementation: { status: unary(status) } },
  ]);
  closing.push(() => serving.close());
  return serving;
}

function client(address: string): NorthboundClient {
  const made = connect(NorthboundClient, address);
  closing.push(() => made.close());
  return made;
}

test("a socket path that the kernel would cut off is refused", async () => {
  const path = join(folder, "x".repeat(108));
  await expect(serve(`unix:${path}`, [])).rejects.toThrow(/longer than 107 octets/);
});

test("what the server refuses reaches the caller with its reason", async () => {
  const address = `unix:${folder}/a.sock`;
  let fault: Error = new Refused("VN red is in use by 2 VNICs");
  await server(address, () => {
    throw fault;
  });
  const nva = client(address);
  await expect(call(nva, nva.status, {})).rejects.toThrow(
    new Refused("VN red is in use by 2 VNICs"),
  );
  fault = new NotFound("no VN 7");
  await expect(call(nva, nva.status, {})).rejects.toBeInstanceOf(NotFound);
});

test("a reason of any length arrives, cut off, and the connection goes on", async () => {
  const address = `unix:${folder}/a.sock`;
  const reasons = ["x".repeat(1 << 20), "ü".repeat(1 << 17), "the next one"];
  await server(address, () => {
    throw new Refused(reasons.shift() ?? "");
  });
  const nva = client(address);
  await expect(call(nva, nva.status, {}, 3000)).rejects.toThrow(/^x{16384}… \(cut off\)$/);
  await expect(call(nva, nva.status, {}, 3000)).rejects.toThrow(/^ü{8192}… \(cut off\)$/);
  await expect(call(nva, nva.status, {}, 3000)).rejects.toThrow(/^the next one$/);
});

test("a control socket is for its owner only, and a stale one is taken over", async () => {
  const path = join(folder, "deep", "a.sock");
  const first = await server(`unix:${path}`, () => {
    throw new Refused("first");
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await expect(serve(`unix:${path}`, [])).rejects.toThrow(/another process serves/);
  await first.close();
  writeFileSync(path, ""); // what a killed process leaves behind
  await server(`unix:${path}`, () => {
    throw new Refused("second");
  });
  const nva = client(`unix:${path}`);
  await expect(call(nva, nva.status, {})).rejects.toThrow("second");
});

test("another program there: the message asks for it, and names no method", async () => {
  const address = `unix:${folder}/a.sock`;
  await server(address, () => {
    throw new Refused("never asked");
  });
  const nva = client(address);
  await expect(call(nva, nva.listNves, {})).rejects.toThrow(
    /who answers at .*a\.sock does not know this command/,
  );
});

test("nobody there: the message says where and what to look at", async () => {
  const nva = client(`unix:${folder}/none.sock`);
  await expect(call(nva, nva.status, {})).rejects.toThrow(
    /nobody answers at .*none\.sock: is it running\?/,
  );
});

const raw = (octets: Buffer): Buffer => octets;
/** A string of 127 octets that ends after 2; a wire type that there is none; a tag without an end. */
const damaged = ["0a7f0102", "0f", "ffffffffffffffffffffff"].map((hex) => Buffer.from(hex, "hex"));

test("a message that cannot be read is the caller's fault, and the next one is answered", async () => {
  const address = `unix:${folder}/a.sock`;
  await server(address, () => {
    throw new NotFound("read");
  });
  const nva = client(address);
  const statusOf = (octets: Buffer): Promise<grpc.ServiceError | null> =>
    new Promise((resolve) => {
      const { path } = NorthboundService.status;
      nva.makeUnaryRequest(path, raw, raw, octets, (error) => resolve(error));
    });
  for (const octets of damaged) {
    expect(await statusOf(octets), octets.toString("hex")).toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringMatching(
        /^the message cannot be read as a request of split_nve.*\/Status: ./,
      ),
    });
  }
  expect(await statusOf(Buffer.alloc(0))).toMatchObject({ code: grpc.status.NOT_FOUND });
});

test("in the midst of a stream such a message ends it, with the reason", async () => {
  const address = `unix:${folder}/a.sock`;
  const ended: string[] = [];
  const session: grpc.handleBidiStreamingCall<unknown, unknown> = (stream) => {
    stream.on("data", () => ended.push("data")).on("cancelled", () => ended.push("cancelled"));
  };
  const { connect: method } = NveService;
  const serving = await serve(address, [
    { definition: { connect: method }, implementation: { connect: session } },
  ]);
  closing.push(() => serving.close());
  const nva = client(address);
  for (const octets of damaged) {
    ended.length = 0;
    const stream = nva.makeBidiStreamRequest(method.path, raw, raw);
    const error = await new Promise((resolve) => {
      stream.on("error", resolve).on("data", () => {});
      stream.write(Buffer.alloc(0));
      stream.write(octets);
    });
    expect(error).toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
    await expect.poll(() => ended).toEqual(["data", "cancelled"]);
  }
});
