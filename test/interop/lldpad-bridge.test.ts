import { readFileSync } from "node:fs";
import { decode, readEcpdu, readFrame } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { until, useLab } from "../support/lab.ts";
import { lldpad } from "../support/lldpad.ts";
import { readPcap } from "../support/pcap.ts";
import { describeWith } from "../support/stranger.ts";
import type { Vnic } from "../support/two-racks.ts";

const VN = 5001;
const lendsNone = "error: the NVE lends no tags: it granted the request without a VID";

// One lab for the file; the tests build on each other, in this order.
describeWith(["lldpad", "lldptool"], "lldpad", () => {
  const lab = useLab("lldpad-bridge");
  const evbOf = ["lldptool", "-t", "-i", "eth1", "-g", "ncb", "-V", "evb"];
  const bridge = lldpad(lab, "bridge", "eth1", evbOf);

  const attach = (tap: string, mac: string, ...more: string[]) => {
    const words = ["vnic", "attach", tap, "--vn", String(VN), "--mac", mac];
    return lab.exec("srv", "hypervisor-agent", ...words, ...more);
  };
  const count = async (counter: string): Promise<number> => {
    const all = (await lab.show("srv", "hypervisor-agent", "show", "counters")) as CountRow[];
    return all.find((one) => one.counter === counter)?.value ?? 0;
  };
  const vnics = async () => (await lab.show("srv", "hypervisor-agent", "vnic", "list")) as Vnic[];
  /**
   * lldpad's late De-Associates are over: none came for longer than its keepalive timeout, 1.41 s. Before that,
   * lldpad itself was seen to end at a link flap.
   */
  const lldpadHoldsNone = () => {
    let last = { heard: -1, at: 0 };
    const isQuiet = async () => {
      const heard = await count("ecp.requests-in");
      if (heard !== last.heard) last = { heard, at: performance.now() };
      return performance.now() - last.at > 2000 || undefined;
    };
    return until("lldpad to hold no VSI", isQuiet, 15_000);
  };
  const agreed = () =>
    until("EVB at the server", async () => {
      const uplinks = await lab.show("srv", "hypervisor-agent", "show", "uplinks");
      const [uplink] = uplinks as { evb: boolean; groupId: boolean }[];
      return (uplink?.evb && uplink.groupId) || undefined;
    });

  test("A9: the server and lldpad's bridge agree on EVB: GroupIDs, and the larger of both sides' timers", async () => {
    await agreed();
    expect(await lab.show("srv", "hypervisor-agent", "show", "uplinks")).toEqual([
      expect.objectContaining({ evb: true, groupId: true, r: 3, rte: 12, rwd: 16, rka: 16 }),
    ]);
    await until("our EVB TLV at lldpad", async () => {
      const shown = await bridge.neighbourEvb();
      return /sgid[\s\S]*mode:station[\s\S]*rka:16/.test(shown) || undefined;
    });
  });

  test("lldpad lends no tags: the operator is told so at once, and nothing is left of the VNIC", async () => {
    const before = performance.now();
    const { code, stderr } = await attach("tap-vm1", "02:00:00:00:00:01");
    expect({ code, stderr: stderr.trim() }).toEqual({ code: 1, stderr: lendsNone });
    expect(performance.now() - before).toBeLessThan(5000);
    await until("the end of it", async () => (await vnics()).length === 0 || undefined);
    expect(await count("ecp.requests-out")).toBe(2); // Associate and De-Associate, once each
  });

  test("the De-Associate that lldpad sends late, after its keepalive timeout, hurts nobody", async () => {
    // The answers to the two, then that one: lldpad keeps a VSI that it said it had forgotten.
    await until("it", async () => (await count("ecp.requests-in")) >= 3 || undefined);
    expect(await count("ecp.requests-out")).toBe(2);
    expect(await vnics()).toEqual([]);
  });

  test("the same VNIC again, while lldpad still has it: the same answer, as often as it is asked", async () => {
    const name = "5e237f03-0b3d-49eb-ba11-f3b543cef253";
    for (let i = 0; i < 3; i++) {
      const { stderr } = await attach("tap-vm1", "02:00:00:00:00:01", "--vnic", name);
      expect(stderr.trim()).toBe(lendsNone);
    }
  });

  test("what lldpad refuses is told with its code: it takes no VSI ID with eight zeros in front", async () => {
    const name = "00000000-0000-0000-abcd-beef4ff18f01";
    const { code, stderr } = await attach("tap-vm1", "02:00:00:00:00:01", "--vnic", name);
    expect(code).toBe(1);
    expect(stderr).toContain("no tag or other resource left for VN 5001 (VDP error 2)");
    expect(await vnics()).toEqual([]);
  });

  test("many VNICs at once: no ECPDU overruns lldpad, which loses one that comes within 2 ms, and each has its answer", async () => {
    const taps = Array.from({ length: 6 }, (_, i) => `tap${i}`);
    for (const tap of taps) {
      await lab.run("srv", "ip", "link", "add", tap, "type", "veth", "peer", "name", `${tap}p`);
    }
    const capture = await lab.capture("srv", "eth1", "ether proto 0x8940");
    const outcomes = await Promise.all(taps.map((tap, i) => attach(tap, `02:00:00:00:01:0${i}`)));
    for (const { stderr } of outcomes) expect(stderr.trim()).toBe(lendsNone);
    await until("the end of them", async () => (await vnics()).length === 0 || undefined);
    await capture.lines();
    const [own = ""] = (await lab.run("srv", "cat", "/sys/class/net/eth1/address")).split("\n");
    const sent = readPcap(readFileSync(capture.path)).filter(({ octets }) => {
      const { source, payload } = decode(octets, readFrame);
      return source === own && decode(payload, readEcpdu).op === "request";
    });
    expect(sent.length).toBeGreaterThan(2);
    const gapsMs = sent
      .slice(1)
      .map(({ timeNs }, i) => Number(timeNs - (sent[i]?.timeNs ?? 0n)) / 1e6);
    expect(Math.min(...gapsMs)).toBeGreaterThan(4.9); // 5 by our clock
  });

  test("a link flap: EVB is agreed anew, and the answers are what they were", async () => {
    await lldpadHoldsNone();
    await lab.run("bridge", "ip", "link", "set", "eth1", "down");
    await until("the server to see it", async () => {
      const [uplink] = (await lab.show("srv", "hypervisor-agent", "show", "uplinks")) as {
        state: string;
      }[];
      return uplink?.state === "down" || undefined;
    });
    const heard = await count("lldp.in");
    await lab.run("bridge", "ip", "link", "set", "eth1", "up");
    await agreed();
    // The first knows nothing of us; lldpad's next come a second apart and have our status in them.
    await until(
      "lldpad's own agreement",
      async () => (await count("lldp.in")) >= heard + 3 || undefined,
    );
    expect((await attach("tap-vm1", "02:00:00:00:00:01")).stderr.trim()).toBe(lendsNone);
  });

  test("lldpad dies under a server that asks: told as that, tried until time is up; restarted, it is heard", async () => {
    await until("the end of the one before", async () => (await vnics()).length === 0 || undefined);
    await bridge.stop("SIGKILL");
    const { code, stderr } = await attach("tap-vm1", "02:00:00:00:00:01", "--timeout", "2");
    expect(code).toBe(1);
    expect(stderr).toContain("not connected in time: the NVE does not acknowledge our messages");
    await bridge.start();
    await until("an answer again", async () => {
      const { stderr } = await attach("tap-vm1", "02:00:00:00:00:01", "--timeout", "1");
      return stderr.trim() === lendsNone || undefined;
    });
  });
});

type CountRow = { counter: string; value: number };
