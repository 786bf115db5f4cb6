import { Uuid, VdpError, VnId } from "@nve/protocol-spec";
import { beforeEach, describe, expect, test } from "vitest";
import { type Cable, cable } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type Host, host, run, settle, treeOf, within } from "./host.ts";
import { type ScriptedBridge, scriptedBridge } from "./scripted-bridge.ts";

const mac = "02:00:00:00:00:0a";
const vnic = Uuid("aaaaaaaa-0000-4000-8000-00000000000a");
const limit = { timeoutMs: 20_000 };
const tap0 = { vnic, interface: "tap0", tree: treeOf(5, mac, "10.0.0.1") };

let clock: FakeClock;
let wire: Cable;
let nve: ScriptedBridge;
let it: Host;

/** Both ends there, LLDP exchanged. */
async function cabled(options: Parameters<typeof scriptedBridge>[2] = {}): Promise<void> {
  clock = fakeClock();
  wire = cable(clock);
  nve = scriptedBridge(wire.b, clock, options);
  it = host(wire.a, clock);
  await run(clock, 3000, 100);
}

const attach = (request = tap0) => within(clock, 30_000, it.agent.attach(request, limit));

/** ECP requests (op 0) from here on, by sender: `802.1Q clause 43`, op in bits 11 and 10. */
function countRequests(): { a: number; b: number } {
  const count = { a: 0, b: 0 };
  wire.tap((from, frame) => {
    const isEcp = frame[12] === 0x89 && frame[13] === 0x40;
    if (isEcp && ((frame[14] ?? 0) & 0x0c) === 0) count[from] += 1;
  });
  return count;
}

beforeEach(() => cabled());

describe("attach", () => {
  test("H1, H9: one ECPDU each way, a tag, and the virtual switch has it", async () => {
    const count = countRequests();
    const view = await attach();
    expect(count).toEqual({ a: 1, b: 1 });
    expect(nve.heard).toEqual([
      [{ type: "associate", vnic, entries: [`5 ${mac} -`], ips: [`5 ${mac} 10.0.0.1`] }],
    ]);
    expect(view).toMatchObject({ state: "associated", tagged: [{ vn: 5, vid: 105 }] });
    expect(it.bound()).toEqual([`tap0 ${mac} 105`]);
  });

  test("is quick: no timer is in its path", async () => {
    const before = clock.now();
    await attach();
    expect(clock.now() - before).toBeLessThanOrEqual(2);
  });

  test("an interface that is not there is refused at once", async () => {
    const request = { ...tap0, interface: "tap9" };
    await expect(it.agent.attach(request, limit)).rejects.toThrow(
      /no interface tap9.*create it first/,
    );
    expect(nve.heard).toEqual([]);
  });

  test("the uplink is no VM's interface", async () => {
    await expect(it.agent.attach({ ...tap0, interface: "a" }, limit)).rejects.toThrow(
      /is an uplink/,
    );
  });

  test.each([
    [VdpError.invalidFormat, /invalid format/],
    [VdpError.insufficientResources, /no tag or other resource left/],
    [VdpError.other, /refused VN 5/],
    [VdpError.invalidVidGroupOrMac, /no such VN/],
  ])("refused with code %i: the reason in words, nothing is left", async (code, why) => {
    nve.verdict = () => ({ code });
    await expect(attach()).rejects.toThrow(why);
    expect(it.agent.vnics()).toEqual([]);
    expect(it.bound()).toEqual([]);
    nve.verdict = () => ({ code: 0 });
    await attach(); // the same VNIC and interface are free again
  });

  test("refused in the NVE's own words: those are shown, without what a terminal would obey", async () => {
    nve.verdict = () => ({ code: 5, reason: "\u001b[31mask \u202eJoe\nfirst" });
    await expect(attach()).rejects.toThrow("the NVE refused VN 5: [31mask Joe first (VDP error 5)");
    nve.verdict = () => ({ code: 5, reason: "\u0007" });
    await expect(attach()).rejects.toThrow("there is no such VN");
  });

  test("the NVE's manager away for 3 s: attached as soon as it is back", async () => {
    const back = clock.now() + 3000;
    nve.verdict = () => ({ code: clock.now() < back ? VdpError.managerUnreachable : 0 });
    const before = clock.now();
    await attach();
    expect(clock.now() - before).toBeGreaterThanOrEqual(3000);
    expect(clock.now() - before).toBeLessThan(5000);
  });

  test("the NVE stays silent: fails when time is up, with a De-Associate behind it", async () => {
    nve.verdict = (type) => (type === "de-associate" ? { code: 0 } : "silent");
    const before = clock.now();
    await expect(
      within(clock, 10_000, it.agent.attach(tap0, { timeoutMs: 5000 }), 10),
    ).rejects.toThrow(/not connected in time: the NVE has not answered/);
    expect(clock.now() - before).toBe(5000);
    await run(clock, 10);
    expect(nve.heard.flat().map(({ type }) => type)).toEqual(["associate", "de-associate"]);
    expect(it.agent.vnics()).toEqual([]);
  });

  test("whoever waited hangs up: it is taken back", async () => {
    nve.verdict = (type) => (type === "de-associate" ? { code: 0 } : "silent");
    const hangUp = new AbortController();
    const outcome = it.agent.attach(tap0, { ...limit, cancelled: hangUp.signal });
    await run(clock, 100);
    hangUp.abort();
    await expect(within(clock, 100, outcome)).rejects.toThrow(/detached meanwhile/);
    await run(clock, 10);
    expect(it.agent.vnics()).toEqual([]);
    expect(nve.heard.flat().at(-1)?.type).toBe("de-associate");
  });

  test("the virtual switch does not take it: it is taken back, with the switch's reason", async () => {
    it.refuseBind("no such program");
    await expect(attach()).rejects.toThrow(/virtual switch does not take it: no such program/);
    it.refuseBind(undefined);
    expect(nve.heard.flat().at(-1)?.type).toBe("de-associate");
    expect(it.agent.vnics()).toEqual([]);
    await run(clock, 2000, 100);
    expect(it.bound()).toEqual([]);
  });
});

describe("without an NVE", () => {
  test("a cable without a peer: waits, says for what, and goes on when one comes", async () => {
    clock = fakeClock();
    wire = cable(clock);
    it = host(wire.a, clock);
    const outcome = it.agent.attach(tap0, limit);
    await run(clock, 5000, 100);
    expect(it.agent.vnics()).toMatchObject([
      { state: "waiting", reason: expect.stringContaining("no NVE answers") },
    ]);
    scriptedBridge(wire.b, clock);
    expect(await within(clock, 2000, outcome)).toMatchObject({ state: "associated" });
  });

  test("a peer without GroupID gets no request in format 4 (spec/vdp.md 1.5)", async () => {
    await cabled({ groupId: false });
    await expect(
      within(clock, 2000, it.agent.attach(tap0, { timeoutMs: 1000 }), 10),
    ).rejects.toThrow(/does not support VN IDs/);
    expect(nve.heard).toEqual([]);
  });

  test("a peer that has not announced our address TLV gets none", async () => {
    await cabled({ readsAddresses: false });
    await attach();
    expect(nve.heard).toMatchObject([[{ entries: [`5 ${mac} -`], ips: [] }]]);
  });
});

describe("change", () => {
  beforeEach(() => attach().then(() => {}));
  const change = (request: Partial<Parameters<Host["agent"]["change"]>[0]>) =>
    within(clock, 30_000, it.agent.change({ vnic, add: [], remove: [], ...request }, limit));

  test("H6: VNs, MACs and IPs come and go, each by one message with the whole set", async () => {
    const count = countRequests();
    await change({ add: treeOf(6, "02:00:00:00:00:0b") });
    await change({ add: treeOf(5, mac, "10.0.0.2") });
    await change({ remove: [{ vn: VnId(6) }] });
    expect(count).toEqual({ a: 3, b: 3 });
    expect(nve.heard.slice(1).flat()).toMatchObject([
      { entries: [`5 ${mac} 105`, "6 02:00:00:00:00:0b -"] },
      {
        entries: [`5 ${mac} 105`, "6 02:00:00:00:00:0b 106"],
        ips: [`5 ${mac} 10.0.0.1`, `5 ${mac} 10.0.0.2`],
      },
      { entries: [`5 ${mac} 105`] },
    ]);
    expect(it.bound()).toEqual([`tap0 ${mac} 105`]);
  });

  test("refused with KEEP: the VNIC stays as it was, on both sides", async () => {
    nve.verdict = () => ({ code: VdpError.invalidVidGroupOrMac, keep: true });
    await expect(change({ add: treeOf(6, "02:00:00:00:00:0b") })).rejects.toThrow(/VDP error 5/);
    expect(it.agent.vnics()).toMatchObject([{ state: "associated", tree: [{ vn: 5 }] }]);
    expect(it.bound()).toEqual([`tap0 ${mac} 105`]);
  });

  test("what is not there cannot be removed, and the last VN only by detach", async () => {
    await expect(change({ remove: [{ vn: VnId(9) }] })).rejects.toThrow(/has no VN 9/);
    await expect(change({ remove: [{ vn: VnId(5) }] })).rejects.toThrow(/use `vnic detach`/);
    expect(nve.heard).toHaveLength(1);
  });

  test("two at once: one is done, the other is refused", async () => {
    const both = [
      it.agent.change({ vnic, add: treeOf(6, "02:00:00:00:00:0b"), remove: [] }, limit),
      it.agent.change({ vnic, add: treeOf(7, "02:00:00:00:00:0c"), remove: [] }, limit),
    ];
    const outcomes = Promise.allSettled(both);
    await run(clock, 10);
    expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});

describe("detach", () => {
  test("H2, H7, H19: out of the virtual switch first, then one De-Associate", async () => {
    await attach();
    let boundWhenTold: string[] = ["never told"];
    nve.verdict = (type) => {
      if (type === "de-associate") boundWhenTold = it.bound();
      return { code: 0 };
    };
    const count = countRequests();
    await within(clock, 1000, it.agent.detach(vnic));
    expect(count).toEqual({ a: 1, b: 1 });
    expect(boundWhenTold).toEqual([]);
    expect(it.agent.vnics()).toEqual([]);
    await expect(it.agent.detach(vnic)).rejects.toThrow(/no VNIC/);
  });

  test("the NVE does not answer: gone after the response wait", async () => {
    await attach();
    nve.verdict = () => "silent";
    const before = clock.now();
    await within(clock, 30_000, it.agent.detach(vnic), 10);
    expect(clock.now() - before).toBeGreaterThan(17_000);
    expect(it.agent.vnics()).toEqual([]);
  });
});

describe("while attached", () => {
  beforeEach(() => attach().then(() => {}));

  test("keepalives carry the tag and the IPs", async () => {
    await run(clock, 25_000, 100);
    const [, ...keepalives] = nve.heard.flat();
    expect(keepalives).toHaveLength(2);
    for (const one of keepalives) {
      expect(one).toMatchObject({ entries: [`5 ${mac} 105`], ips: [`5 ${mac} 10.0.0.1`] });
    }
  });

  test("the NVE disconnects it: the tag is gone at once; it is asked for again, and refused", async () => {
    nve.verdict = () => ({ code: VdpError.invalidVidGroupOrMac });
    nve.order(vnic);
    await run(clock, 10);
    expect(it.bound()).toEqual([]);
    expect(it.agent.vnics()).toMatchObject([
      { state: "waiting", reason: expect.stringContaining("disconnected") },
    ]);
    await run(clock, 1000, 10);
    expect(it.agent.vnics()).toMatchObject([
      { state: "refused", reason: expect.stringContaining("VDP error 5") },
    ]);
  });

  test("a link flap: everything is said again, in one ECPDU for two VNICs, and traffic goes on", async () => {
    const tap1 = { interface: "tap1", tree: treeOf(6, "02:00:00:00:00:0b") };
    await within(clock, 1000, it.agent.attach(tap1, limit));
    const before = it.bound();
    wire.set("down");
    await run(clock, 60_000, 1000);
    expect(it.bound()).toEqual(before);
    nve.heard.length = 0;
    wire.set("up");
    await run(clock, 10);
    expect(nve.heard[0]?.map(({ entries }) => entries[0])).toEqual([
      `5 ${mac} 105`,
      "6 02:00:00:00:00:0b 106",
    ]);
    await run(clock, 3000, 100);
    expect(it.agent.vnics().map(({ state }) => state)).toEqual(["associated", "associated"]);
    expect(it.bound()).toEqual(before);
  });

  test("the NVE does not answer a keepalive: the tag is given up, and asked for until it answers", async () => {
    nve.verdict = () => "silent";
    await run(clock, 40_000, 100);
    expect(it.bound()).toEqual([]);
    expect(it.agent.vnics()).toMatchObject([{ state: "associating" }]);
    nve.verdict = () => ({ code: 0 });
    await run(clock, 30_000, 100);
    expect(it.agent.vnics()).toMatchObject([{ state: "associated" }]);
    expect(nve.heard.flat().at(-1)).toMatchObject({ ips: [`5 ${mac} 10.0.0.1`] });
    expect(it.bound()).toEqual([`tap0 ${mac} 105`]);
  });
});

describe("stop", () => {
  test("De-Associate for all in one ECPDU, resolved when they are answered", async () => {
    await attach();
    await within(
      clock,
      1000,
      it.agent.attach({ interface: "tap1", tree: treeOf(6, "02:00:00:00:00:0b") }, limit),
    );
    const before = clock.now();
    await within(clock, 2000, it.agent.stop(1000));
    expect(clock.now() - before).toBeLessThan(10);
    expect(nve.heard.at(-1)?.map(({ type }) => type)).toEqual(["de-associate", "de-associate"]);
  });

  test("the NVE is away: not longer than it may take", async () => {
    await attach();
    nve.verdict = () => "silent";
    const before = clock.now();
    await within(clock, 2000, it.agent.stop(1000));
    expect(clock.now() - before).toBe(1000);
    await settle();
  });
});

test("an interface with a larger MTU than its VN is shown with a warning until it has not", async () => {
  nve.mtu = 1450;
  const view = await attach();
  expect(view.mtus).toEqual(new Map([[5, 1450]]));
  expect(view.reason).toBe(
    "tap0 has MTU 1500 and VN 5 takes 1450: longer packets are dropped, set 1450 in the VM",
  );
  it.mtu = 1450;
  expect(it.agent.vnics()).toMatchObject([{ state: "associated", reason: undefined }]);
  nve.mtu = 1400;
  await run(clock, 11_000, 100); // a keepalive tells the new one
  expect(it.agent.vnics()[0]?.reason).toContain("VN 5 takes 1400");
});
