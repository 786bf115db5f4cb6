import { once } from "node:events";
import { createLog } from "@nve/program";
import { IpAddress, Mac, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBpf, Namespace } from "../kernel/bpf-namespace.ts";
import { fillInChecksums } from "../kernel/dataplane-checksums.ts";
import { vteps } from "../kernel/dataplane-rig.ts";
import { until } from "../support/lab.ts";
import { OpenVswitch, ovsPrograms } from "../support/open-vswitch.ts";
import { describeWith } from "../support/stranger.ts";
import { spawnIn, tcpArrives } from "../support/streams.ts";

const mac = { vm: Mac("02:00:00:00:00:0a"), far: Mac("02:00:00:00:00:0c") };
/** In each family what the two VMs speak with each other. */
const tenant = { 4: { vm: "10.9.0.1", far: "10.9.0.2" }, 6: { vm: "fd09::1", far: "fd09::2" } };
/** All that fits into the VMs' 1,500 octets, but for ICMP's header and IP's. */
const fullEcho = { 4: 1472, 6: 1452 };
const OCTETS = 5_000_000;
/** `shared` is at both ends; `ours` is not said to have members at OVS; `theirs` is unknown to us. */
const vnis = { shared: 100, ours: 200, theirs: 300 };

describeWith(ovsPrograms, "openvswitch-switch", () => {
  /** vm - tor (ours) - ovs - far */
  let vm: Namespace;
  let tor: Namespace;
  let switched: Namespace;
  let far: Namespace;
  let ovs: OpenVswitch | undefined;

  beforeAll(async () => {
    buildBpf();
    [vm, tor] = [new Namespace("ovs-vm"), new Namespace("ovs-tor")];
    [switched, far] = [new Namespace("ovs-switch"), new Namespace("ovs-far")];
    for (const one of [vm, tor, switched, far]) {
      one.sysctl("net.ipv6.conf.default.disable_ipv6", 0);
      one.sysctl("net.ipv6.conf.default.accept_dad", 0);
    }
    tor.ip(
      `link add p1 mtu 1500 type veth peer name eth0 netns ${vm.name} address ${mac.vm}`,
      `link add ul mtu 1600 type veth peer name ul netns ${switched.name} mtu 1600`,
      "link set p1 up",
      "link set ul up",
      ...([4, 6] as const).map(
        (family) => `addr add ${vteps[family].vtep}${prefix[family]} dev ul`,
      ),
    );
    switched.ip(
      `link add p1 mtu 1500 type veth peer name eth0 netns ${far.name} address ${mac.far}`,
      "link set p1 up",
      "link set ul up",
    );
    for (const [namespace, own] of [
      [vm, "vm"],
      [far, "far"],
    ] as const) {
      fillInChecksums(namespace, "eth0"); // OVS hands on frames as they are
      namespace.ip(
        "link set eth0 up",
        ...([4, 6] as const).map(
          (family) => `addr add ${tenant[family][own]}${prefix[family]} dev eth0`,
        ),
      );
    }
    fillInChecksums(tor, "ul"); // as a NIC would: OVS looks at those of tunnels over IPv6
    ovs = await switchBetween();
    tor.enter();
  });
  afterAll(async () => {
    try {
      await ovs?.stop();
    } finally {
      for (const one of [vm, tor, switched, far]) one?.delete();
    }
  });

  /** An OVS as its documentation has it: br-phy with the underlay and the VTEP's addresses, br-int with the VM. */
  async function switchBetween(): Promise<OpenVswitch> {
    const made = await OpenVswitch.start(switched.name);
    try {
      for (const [bridge, port] of [
        ["br-phy", "ul"],
        ["br-int", "p1"],
      ] as const) {
        const netdev = ["set", "bridge", bridge, "datapath_type=netdev"];
        made.vsctl("add-br", bridge, "--", ...netdev, "--", "add-port", bridge, port);
      }
      switched.ip(
        ...([4, 6] as const).map(
          (family) => `addr add ${vteps[family].a}${prefix[family]} dev br-phy`,
        ),
        "link set br-phy mtu 1600 up",
      );
      for (const { a } of [vteps[4], vteps[6]])
        await until(
          `OVS to know ${a}`,
          () => made.appctl("ovs/route/show").includes(a) || undefined,
        );
      return made;
    } catch (error) {
      await made.stop();
      throw error;
    }
  }

  function sends(vni: number): void {
    ovs?.vsctl("set", "interface", "vx", `options:key=${vni}`);
  }

  for (const underlay of [4, 6] as const) {
    describe(`Open vSwitch as the other end of VXLAN, IPv${underlay} underlay`, () => {
      let dataplane: Dataplane;

      beforeAll(async () => {
        const { vtep, a } = vteps[underlay];
        const options = [`options:remote_ip=${vtep}`, `options:local_ip=${a}`];
        const tunnel = ["set", "interface", "vx", "type=vxlan", ...options];
        ovs?.vsctl("add-port", "br-int", "vx", "--", ...tunnel, `options:key=${vnis.shared}`);
        const log = createLog("test", "error");
        dataplane = await openEbpfDataplane({ vtep: IpAddress(vtep), log });
        await dataplane.portUp("p1");
        const remote = { is: "remote", vtep: IpAddress(a) } as const;
        const local = { is: "local", port: "p1", vid: 0 } as const;
        const vni = Vni(vnis.shared);
        await dataplane.ensure([
          { is: "vn", vni, flood: [local, remote], floodUnknown: false },
          { is: "vn", vni: Vni(vnis.ours), flood: [local], floodUnknown: false },
          { is: "access", port: "p1", vid: 0, vni },
          { is: "mac", vni, mac: mac.vm, at: local },
          { is: "mac", vni, mac: mac.far, at: remote },
        ]);
        // OVS looks for the neighbour as its first frame goes out, which it does not keep.
        await until(
          "an echo",
          async () => (await echo(vm, tenant[4].far, 56, 1)) || undefined,
          10_000,
        );
      });
      afterAll(async () => {
        await dataplane?.close();
        ovs?.vsctl("--if-exists", "del-port", "br-int", "vx");
      });

      const drops = async (reason: string): Promise<number> =>
        (await dataplane.counters()).drops[reason] ?? 0;

      for (const family of [4, 6] as const) {
        const [near, distant] = [tenant[family].vm, tenant[family].far];

        test(`A24, M1: echoes over IPv${family}, small ones and all that the MTU lets through, are answered by VMs at Open vSwitch and at us`, async () => {
          for (const size of [0, 56, fullEcho[family] - 1, fullEcho[family]]) {
            expect(await echo(vm, distant, size), `${size} octets to OVS`).toBe(true);
            expect(await echo(far, near, size), `${size} octets from OVS`).toBe(true);
          }
        });

        test(`A24, M1: TCP over IPv${family} gets through whole, to Open vSwitch and from it`, async () => {
          expect(await tcpArrives(vm.name, far.name, distant, OCTETS)).toBe(true);
          expect(await tcpArrives(far.name, vm.name, near, OCTETS)).toBe(true);
        });
      }

      test("A24, M1: what Open vSwitch sends with a VNI that no VN has, or of a VN without members there, is dropped and counted", async () => {
        for (const [vni, reason] of [
          [vnis.theirs, "unknown-vni"],
          [vnis.ours, "stranger-vtep"],
        ] as const) {
          const before = await drops(reason);
          sends(vni);
          try {
            expect(await echo(far, tenant[4].vm, 56, 1), `VNI ${vni}`).toBe(false);
            expect(await drops(reason), reason).toBeGreaterThan(before);
          } finally {
            sends(vnis.shared);
          }
        }
        expect(await echo(far, tenant[4].vm, 56)).toBe(true);
      });
    });
  }
});

const prefix = { 4: "/24", 6: "/64" };

/** One that may not be split. @returns whether it was answered in time */
async function echo(from: Namespace, address: string, size: number, waitS = 5): Promise<boolean> {
  const options = ["-c", "1", "-W", String(waitS), "-M", "do", "-s", String(size)];
  const [code] = await once(spawnIn(from.name, "ping", ...options, address), "exit");
  return code === 0;
}
