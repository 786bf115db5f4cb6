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
    const { vtep, port, fastPath, isProtected } = told;
    dataplane = await openEbpfDataplane({
      vtep: IpAddress(vtep),
      fastPath,
      meters: isProtected ? "on" : "off",
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

/** `macs` of the other side's, the first of them the VM's own. */
function intents({ port, vid, own, peer, isProtected, macs, farMacs }) {
  const here = { is: "local", port, vid: Vid(vid) };
  const there = { is: "remote", vtep: IpAddress(peer) };
  const [group, far] = own === 0 ? [2, 1] : [1, 2];
  const macIntents = (n, byte, at, host) =>
    Array.from({ length: n }, (_, i) => ({
      ...{ is: "mac", vni, mac: macOf(byte, i), at },
      ...(isProtected && i === 0 && { ips: [IpAddress(`10.0.0.${host}`)] }),
      ...(isProtected &&
        i === 0 &&
        at.is === "local" && { vnic: Uuid("00000000-0000-4000-8000-000000000007") }),
    }));
  return [
    { is: "vn", vni, flood: [here, there], floodUnknown: false, ...(isProtected && vnRules) },
    { is: "access", port, vid: Vid(vid), vni, ...(isProtected && accessRules) },
    ...macIntents(macs, group, here, own + 1),
    ...macIntents(farMacs, far, there, 2 - own),
  ];
}

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
const vnRules = { answer: true, floodLimit, acl, qos: { policeKbps: 100_000_000 } };
const accessRules = { checkSource: true, checkIps: true, floodLimit };

function macOf(group, n) {
  const hex = (value) => (value & 255).toString(16).padStart(2, "0");
  return Mac(`02:${hex(group)}:00:${hex(n >> 16)}:${hex(n >> 8)}:${hex(n)}`);
}
