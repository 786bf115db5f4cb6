import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, connect, Refused, type Serving, serve } from "@nve/program";
import { Uuid, VnId } from "@nve/protocol-spec";
import {
  type BindPortRequest,
  SwitchAgentClient,
  SwitchAgentService,
} from "@nve/protocol-spec/proto/agent";
import type { Binding, BindingView } from "@nve/switch-agent/static/binding";
import { bindingMethods } from "@nve/switch-agent/static/control";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

const name = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");
const request: BindPortRequest = {
  port: "swp5",
  tag: 0,
  vnId: 5001,
  vnName: "",
  macs: [],
  strict: false,
};

let folder: string;
let serving: Serving;
let client: SwitchAgentClient;
let asked: Binding[] = [];
let there = true;

const view = (binding: Binding): BindingView => ({
  ...binding,
  origin: "api",
  state: "bound",
  reason: "",
  vnic: name,
  vnId: VnId(5001),
  vnName: undefined,
});

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "binding-control-"));
  const address = `unix:${join(folder, "agent.sock")}`;
  const statics = {
    bind: async (binding: Binding) => {
      asked.push(binding);
      return view(binding);
    },
    unbind: () => {
      throw new Refused("bound by the config file");
    },
    list: () => asked.map(view),
  };
  const implementation = bindingMethods(async () => (there ? statics : undefined));
  serving = await serve(address, [{ definition: SwitchAgentService, implementation }]);
  client = connect(SwitchAgentClient, address);
});
afterAll(async () => {
  client.close();
  await serving.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  asked = [];
  there = true;
});

const bind = (more: Partial<BindPortRequest> = {}) =>
  call(client, client.bindPort, { ...request, ...more });

test("A11: BindPort by VN ID or VN Name, with what is there; the binding comes back", async () => {
  const macs = [{ mac: "02:00:00:00:00:0A", ips: ["10.0.0.1", "10.0.0.4-10.0.0.5"] }];
  expect(await bind({ tag: 20, macs, strict: true })).toEqual({
    ...request,
    tag: 20,
    macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1", "10.0.0.4/31"] }],
    strict: true,
    state: "bound",
    reason: "",
    origin: "api",
    vnic: name,
  });
  await bind({ vnId: 0, vnName: name });
  expect(asked[1]).toMatchObject({ tag: 0, vn: name });
});

test.each([
  ["a VN ID that is none", { vnId: 1 << 24 }, "VN ID 16777216"],
  ["no VN", { vnId: 0 }, "VN ID 0"],
  ["a VN Name that is none", { vnId: 0, vnName: "a-b" }, "is not a UUID"],
  ["a tag that is none", { tag: 4095 }, "VID 4095"],
  ["a port that cannot be one", { port: "../x" }, "is not the name of a network interface"],
  ["a group address", { macs: [{ mac: "01:00:5e:00:00:01", ips: [] }] }, "no address of a station"],
  ["an IP that is none", { macs: [{ mac: "02:00:00:00:00:0a", ips: ["x"] }] }, '"x" is'],
  ["strict without MACs", { strict: true }, "name one at least"],
  [
    "more MACs than go",
    {
      macs: Array.from({ length: 1025 }, (_, n) => ({
        mac: `02:00:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`,
        ips: [],
      })),
    },
    "1024 MACs at most",
  ],
])("%s is refused with the reason, and nothing is bound", async (_, more, why) => {
  await expect(bind(more)).rejects.toThrow(why);
  expect(asked).toEqual([]);
});

test("UnbindPort says why not", async () => {
  const unbind = (tag: number) => call(client, client.unbindPort, { port: "swp5", tag });
  await expect(unbind(0)).rejects.toThrow("bound by the config file");
  await expect(unbind(4095)).rejects.toThrow("VID 4095");
});

test("A8: an NVE on a server has no such ports: BindPort says what to use, ListBindings is empty", async () => {
  there = false;
  await expect(bind()).rejects.toThrow("hypervisor-agent vnic");
  expect(await call(client, client.listBindings, {})).toEqual({ bindings: [] });
});
