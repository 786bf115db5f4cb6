import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { openEbpfVirtualSwitch } from "@nve/hypervisor-agent/vm-port/ebpf/driver";
import type { VirtualSwitch } from "@nve/hypervisor-agent/vm-port/vm-port";
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
    vms = await Promise.all([1, 2].map((n) => attach(tor, n)));
    const places = [place(1), place(2)];
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
    server.ip(
      `link add u0 type veth peer name p${n} netns ${tor.name}`,
      `link add vnic type veth peer name eth0 netns ${vm.name} address ${vmMac(n)}`,
      "link set u0 up",
      "link set vnic up",
    );
    tor.ip(`link set p${n} up`);
    vm.ip("link set eth0 up", `addr add 10.0.0.${n}/24 dev eth0`);
    const { vid } = place(n);
    const binding = { interface: "vnic", guestTag: 0, mac: vmMac(n), uplink: "u0", vid } as const;
    // Both calls do all their work before they give way.
    const opening = server.inside(() => openEbpfVirtualSwitch({ uplinks: ["u0"], log }));
    const made = await opening;
    await server.inside(() => made.bind([binding]));
    switches.push(made);
    await dataplane.portUp(`p${n}`);
    return vm;
  }

  test("A2: ARP and ping pass at the first try", async () => {
    const { stdout } = await inside(vms[0], "ping", "-c", "2", "-i", "0.2", "-W", "2", "10.0.0.2");
    expect(stdout).toContain("2 packets transmitted, 2 received");
  });

  test("A5: 8 MB of TCP arrive whole, with checksums and segmentation left to the interfaces", async () => {
    const sink = `
      const hash = require("node:crypto").createHash("sha256");
      require("node:net").createServer({ allowHalfOpen: true }, (s) => {
        s.on("data", (d) => hash.update(d)).on("end", () => s.end(hash.digest("hex")));
      }).listen(7000, () => console.log("ready"));`;
    const source = `
      const octets = Buffer.alloc(8 << 20, "split network virtualization");
      const s = require("node:net").connect(7000, "10.0.0.2", () => s.end(octets));
      console.log(require("node:crypto").createHash("sha256").update(octets).digest("hex"));
      s.on("data", (d) => process.stdout.write(d));`;
    const command = ["netns", "exec", vms[1]?.name ?? "", process.execPath, "-e", sink];
    const server = spawn("ip", command, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(server.stdout, "data");
      const { stdout } = await inside(vms[0], process.execPath, "-e", source);
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
