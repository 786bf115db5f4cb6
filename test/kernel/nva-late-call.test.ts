import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, connect } from "@nve/program/rpc";
import { Kind, NorthboundClient, Tenant } from "@nve/protocol-spec/proto/northbound";
import { expect, onTestFinished, test } from "vitest";
import { bundleNva, nvaProcess } from "../model/one-nva.ts";

test("an NVA that stood still carries out nothing for clients that have given up meanwhile", async () => {
  const folder = mkdtempSync(join(tmpdir(), "late-call-"));
  const program = await bundleNva();
  const nva = nvaProcess(folder, program.path, "nva", { use: "memory" });
  onTestFinished(async () => {
    await nva.stop("SIGKILL");
    program.remove();
    rmSync(folder, { recursive: true });
  });
  await nva.start();
  const client = connect(NorthboundClient, nva.address);
  onTestFinished(() => client.close());
  const put = (name: string, timeoutMs: number) => {
    const key = { kind: Kind.KIND_TENANT, key: name };
    const of = { $case: "tenant" as const, value: Tenant.create({ name }) };
    const resource = { key, revision: 0n, note: "", of };
    return call(client, client.putResource, { resource, expected: undefined }, timeoutMs);
  };
  await put("before", 10_000);
  const paused = nva.pause(1500);
  await expect(put("late", 300)).rejects.toThrow("in time");
  await paused;
  await put("after", 10_000); // by the same connection
  const page = { kind: Kind.KIND_TENANT, tenant: "", pageSize: 0, pageToken: "" };
  const { resources } = await call(client, client.listResources, page, 10_000);
  const names = resources.map(({ key }) => key?.key);
  expect(names.sort()).toEqual(["after", "before", "default"]);
}, 60_000);
