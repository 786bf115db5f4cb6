// A ToR of ours, in a process and a network namespace of its own: the switch-agent's eBPF driver through its contract.
// Told what to do over IPC: { open } once, then { move }, { counters }.
import { createLog } from "@nve/program";
import { IpAddress, Mac, Uuid, Vid, Vni } from "@nve/protocol-spec";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";

const vni = Vni(5000);
let dataplane;
let told;

process.on("message", async (message) => {
  try {
    process.send({ answer: (await acts[message.do](message)) ?? {} });
  } catch (error) {
    process.send({ failed: error.message });
  }
});
process.on("disconnect", () => process.exit(0));

const acts = {
  async open(message) {
    told = message;
    const { vtep, port, fastPath, protections } = told;
    dataplane = await openEbpfDataplane({
      vtep: IpAddress(vtep),
      fastPath,
      meters: protections.includes("counters") ? "on" : "off",
      log: createLog("bench", "error"),
    });
    await dataplane.portUp(port);
    await dataplane.ensure(intents(told));
  },
  /** Says of so many MACs that are not spoken to where they are. @returns how long that took */
  async move({ macs, vtep }) {
    const at = { is: "remote", vtep: IpAddress(vtep) };
    const all = Array.from({ length: macs }, (_, n) => ({ is: "mac", vni, mac: macOf(3, n), at }));
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    await dataplane.ensure(all);
    const { user, system } = process.cpuUsage(cpu);
    return { ms: performance.now() - start, cpuMs: (user + system) / 1000 };
  },
  counters: () => dataplane.counters(),
};

/** `macs` are here, `farMacs` there; the first of each is the VM's own, with an IP. */
function intents({ port, vid, own, peer, protections, macs, farMacs }) {
  const here = { is: "local", port, vid: Vid(vid) };
  const there = { is: "remote", vtep: IpAddress(peer) };
  const [group, far] = own === 0 ? [2, 1] : [1, 2];
  const all = (n, byte, at, more) =>
    Array.from({ length: n }, (_, i) => ({
      ...{ is: "mac", vni, mac: macOf(byte, i), at },
      ...(i === 0 && more),
    }));
  const rules = (of) => Object.assign({}, ...protections.map((name) => of[name]));
  return [
    { is: "vn", vni, flood: [here, there], floodUnknown: false, ...rules(vnRules) },
    { is: "access", port, vid: Vid(vid), vni, ...rules(accessRules) },
    ...all(macs, group, here, { ips: [IpAddress(`10.0.0.${own + 1}`)], vnic }),
    ...all(farMacs, far, there, { ips: [IpAddress(`10.0.0.${2 - own}`)] }),
  ];
}

const vnic = Uuid("00000000-0000-4000-8000-000000000007");
const rule = (more) => ({ action: "deny", direction: "both", ...more });
/** None of them matches what the bench sends, so all eight are looked at for each frame. */
const acl = [
  rule({ direction: "from-vnic", protocol: 17, sourcePorts: [67, 67] }),
  rule({ protocol: 6, destinationPorts: [25, 25] }),
  rule({ protocol: 6, destinationPorts: [135, 139] }),
  rule({ protocol: 6, destinationPorts: [445, 445] }),
  rule({ protocol: 17, destinationPorts: [11211, 11211] }),
  rule({ destination: "169.254.0.0/16" }),
  rule({ source: "192.168.0.0/16" }),
  rule({ etherType: 0x88f7 }),
];
const floodLimit = { perSecond: 1000, burst: 1000 };
/** By the name of a protection (sides.mjs). */
const vnRules = {
  acl: { acl },
  police: { qos: { policeKbps: 100_000_000 } },
  flood: { floodLimit },
  answer: { answer: true },
};
const accessRules = {
  source: { checkSource: true },
  ips: { checkIps: true },
  flood: { floodLimit },
};

function macOf(group, n) {
  const hex = (value) => (value & 255).toString(16).padStart(2, "0");
  return Mac(`02:${hex(group)}:00:${hex(n >> 16)}:${hex(n >> 8)}:${hex(n)}`);
}
