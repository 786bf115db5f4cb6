// VLAN interfaces of a guest, on kernels that have none: `node vlan-interfaces.mjs <interface> <MAC> <VLAN interface>=<tag>...`,
// in the guest. Frames of a VLAN interface get its tag and lose it again on the way back. Says "ready"; ends with stdin.
import { openEbpfVirtualSwitch } from "@nve/hypervisor-agent/vm-port/ebpf/driver";
import { createLog } from "@nve/program/log";

const [, , uplink = "", mac = "", ...vlans] = process.argv;
const log = createLog("vlan-interfaces", "silent");
const virtualSwitch = await openEbpfVirtualSwitch({ uplinks: [uplink], log });
await virtualSwitch.bind(
  vlans.map((one) => {
    const [name = "", tag] = one.split("=");
    return { interface: name, guestTag: 0, mac, uplink, vid: Number(tag) };
  }),
);
process.stdout.write("ready\n");
for await (const _ of process.stdin);
await virtualSwitch.close();
