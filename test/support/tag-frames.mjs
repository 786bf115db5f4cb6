// A VM's frames get a tag and lose it again, as our own virtual switch does it, where another program speaks VDP:
// `node tag-frames.mjs <VM's interface> <VM's MAC> <uplink>`. Each line on stdin is the tag from now on, or "none";
// it is said back when it is in force. Ends with stdin.
import { createInterface } from "node:readline";
import { openEbpfVirtualSwitch } from "@nve/hypervisor-agent/vm-port/ebpf/driver";
import { createLog } from "@nve/program/log";

const [, , name = "", mac = "", uplink = ""] = process.argv;
const log = createLog("tag-frames", "silent");
const virtualSwitch = await openEbpfVirtualSwitch({ uplinks: [uplink], log });
for await (const line of createInterface({ input: process.stdin })) {
  const vid = Number(line);
  const binding = { interface: name, guestTag: 0, mac, uplink, vid };
  await virtualSwitch.bind(line === "none" ? [] : [binding]);
  process.stdout.write(`${line}\n`);
}
await virtualSwitch.close();
