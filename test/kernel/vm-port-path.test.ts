import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { openEbpfVirtualSwitch } from "@nve/hypervisor-agent/vm-port/ebpf/driver";
import type { Binding, VirtualSwitch } from "@nve/hypervisor-agent/vm-port/vm-port";
import { linkMonitor } from "@nve/linux";
import { createLog } from "@nve/program";
import { IpAddress, Mac, Vid, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import type { Place } from "@nve/switch-agent/nve";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBpf, Namespace } from "./bpf-namespace.ts";

/**
 *   vm1 ─ vnic ═ server1 ═ u0 ══(tag 10)══ p1 ═ tor ═ p2 ══(tag 20)══ u0 ═ server2 ═ vnic ─ vm2
 *                                           tor ═ p3 ══(tag 30)══ u0 ═ server3 ═ vnic ──(guest tag 7)── guest3 ─ vm3
 *
 * guest3 is a trunk VM's own VLAN interface. This kernel may have none, so another virtual switch stands for it.
 */
describe("a VM's stack through virtual switches and the switch between", () => {
  const log = createLog("test", "error");
  const spaces: Namespace[] = [];
  const switches: VirtualSwitch[] = [];
  let dataplane: Dataplane;
  let vms: Namespace[];

  const space = (name: string) => {
    const made = new Namespace(name);
    spaces.push(made);
    return made;
  };

  beforeAll(async () => {
    buildBpf();
    const tor = space("tor");
    tor.enter();
    await linkMonitor().ready; // here, where no interface has the name of one that it is asked about
    dataplane = await openEbpfDataplane({ vtep: IpAddress("192.0.2.1"), log });
    vms = [];
    for (const n of [1, 2, 3]) vms.push(await attach(tor, n)); // one after the other: see `bind`
    const places = [place(1), place(2), place(3)];
    await dataplane.ensure([
      { is: "vn", vni: Vni(100), flood: places, floodUnknown: false },
      ...places.flatMap((at, i) => [
        { is: "mac" as const, vni: Vni(100), mac: vmMac(i + 1), at },
        { ...at, is: "access" as const, vni: Vni(100) },
      ]),
    ]);
  });

  afterAll(async () => {
    for (const each of switches) await each.close();
    await dataplane?.close();
    for (const each of spaces) each.delete();
  });

  const vmMac = (n: number) => Mac(`02:00:00:00:00:0${n}`);
  const place = (n: number) =>
    ({
      is: "local" as const,
      port: `p${n}`,
      vid: Vid(10 * n),
    }) satisfies Place;

  async function attach(tor: Namespace, n: number): Promise<Namespace> {
    const [server, vm] = [space(`server${n}`), space(`vm${n}`)];
    server.ip(`link add u0 type veth peer name p${n} netns ${tor.name}`, "link set u0 up");
    tor.ip(`link set p${n} up`);
    const guestTag = n === 3 ? Vid(7) : 0;
    if (guestTag === 0) wire(server, vm, n);
    else await tagging(server, vm, guestTag, n, tor);
    await bind(server, { ...vnicOf(n), guestTag, vid: place(n).vid }, tor);
    await dataplane.portUp(`p${n}`);
    return vm;
  }

  /** The VM's interface, and its end on the server. */
  function wire(server: Namespace, vm: Namespace, n: number): void {
    server.ip(
      `link add vnic type veth peer name eth0 netns ${vm.name} address ${vmMac(n)}`,
      "link set vnic up",
    );
    vm.ip("link set eth0 up", `addr add 10.0.0.${n}/24 dev eth0`);
  }

  /** The same with a guest between that tags what the VM sends. */
  async function tagging(
    server: Namespace,
    vm: Namespace,
    tag: Vid,
    n: number,
    tor: Namespace,
  ): Promise<void> {
    const guest = space(`guest${n}`);
    wire(guest, vm, n);
    server.ip(`link add vnic type veth peer name u0 netns ${guest.name}`, "link set vnic up");
    guest.ip("link set u0 up");
    await bind(guest, { ...vnicOf(n), guestTag: 0, vid: tag }, tor);
  }

  const vnicOf = (n: number) => ({ interface: "vnic", mac: vmMac(n), uplink: "u0" });

  /** The process is in the namespace of the virtual switch until its interfaces are attached, which they are in turns. */
  async function bind(server: Namespace, binding: Binding, tor: Namespace): Promise<void> {
    server.enter();
    try {
      const made = await openEbpfVirtualSwitch({ uplinks: ["u0"], log });
      switches.push(made);
      await made.bind([binding]);
    } finally {
      tor.enter();
    }
  }

  test.each([
    ["A2: ARP and ping pass at the first try", 2],
    ["A2, H10: they do to a trunk VM's VLAN interface", 3],
  ])("%s", async (_, n) => {
    const words = ["-c", "2", "-i", "0.2", "-W", "2", `10.0.0.${n}`];
    const { stdout } = await inside(vms[0], "ping", ...words);
    expect(stdout).toContain("2 packets transmitted, 2 received");
  });

  test.each([
    ["A5: 8 MB of TCP arrive whole, with checksums and segmentation left to the interfaces", 1, 2],
    ["A5, H10: they do from a trunk VM's VLAN interface", 3, 1],
    ["A5, H10: they do to a trunk VM's VLAN interface", 1, 3],
  ])("%s", async (_, from, to) => {
    const sink = `
      const hash = require("node:crypto").createHash("sha256");
      require("node:net").createServer({ allowHalfOpen: true }, (s) => {
        s.on("data", (d) => hash.update(d)).on("end", () => s.end(hash.digest("hex")));
      }).listen(7000, () => console.log("ready"));`;
    const source = `
      const octets = Buffer.alloc(8 << 20, "split network virtualization");
      const s = require("node:net").connect(7000, "10.0.0.${to}", () => s.end(octets));
      console.log(require("node:crypto").createHash("sha256").update(octets).digest("hex"));
      s.on("data", (d) => process.stdout.write(d));`;
    const command = ["netns", "exec", vms[to - 1]?.name ?? "", process.execPath, "-e", sink];
    const server = spawn("ip", command, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(server.stdout, "data");
      const { stdout } = await inside(vms[from - 1], process.execPath, "-e", source);
      const [sent, received] = stdout.trim().split("\n");
      expect(received).toMatch(/^[0-9a-f]{64}$/);
      expect(received).toBe(sent);
    } finally {
      server.kill();
    }
  });
});

const inside = (namespace: Namespace | undefined, ...command: string[]) =>
  promisify(execFile)("ip", ["netns", "exec", namespace?.name ?? "", ...command], {
    timeout: 20_000,
  });
