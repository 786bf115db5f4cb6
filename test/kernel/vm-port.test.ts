import { afterAll, describe } from "vitest";
import { virtualSwitchContract } from "../contracts/vm-port.ts";
import { hasTcx, Namespace } from "./bpf-namespace.ts";
import { EbpfSwitchRig } from "./vm-port-rig.ts";

const server = new Namespace("server");
server.enter();
afterAll(() => server.delete());

virtualSwitchContract(
  "eBPF virtual switch by clsact",
  async () => new EbpfSwitchRig(server, "clsact"),
);
describe.skipIf(!hasTcx)("Linux 6.6 or newer", () => {
  virtualSwitchContract("eBPF virtual switch by TCX", async () => new EbpfSwitchRig(server, "tcx"));
});
