import { type Filters, IpAddress, Uuid, VdpError, Vid, VnId } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { octets } from "../../support/octets.ts";
import { addresses, request } from "./station.ts";
import { pass, settle, type Tor, tor } from "./tor.ts";
import { a, b, group, ok, refusal, vm1, vm2 } from "./vsis.ts";

const tor2 = IpAddress("192.0.2.2");

let it: Tor;
beforeEach(async () => {
  it = tor();
  it.nva.connect();
  it.stations[0].lldp(true);
  await pass(it.clock, 5);
});

const keysOf = () => [...it.dataplane.intents.keys()].sort();

test("H1, H9: one ECPDU asks with a null VID, one answers with the lent tag, and all is applied", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(station.heard).toEqual([
    [{ type: "associate", status: ok, filters: group([5001, a, 2]) }],
  ]);
  expect(keysOf()).toEqual(["access swp1 2", `mac 15001 ${a}`, "vn 15001"]);
  expect(it.nva.reports).toMatchObject([{ joined: [5001], claims: [{ vn: 5001, mac: a }] }]);
});

test("H9: the answer waits for no timer", async () => {
  const [station] = it.stations;
  const before = it.clock.now();
  station.ask(request("associate", vm1, group([5001, a])));
  for (let i = 0; i < 20 && station.heard.length === 0; i++) await pass(it.clock, 0.1, 0.1);
  expect(it.clock.now() - before).toBeLessThan(0.5); // 0.1 ms on the cable each way
});

test("H11: the addresses beside a request are its VSI's, and are claimed with it", async () => {
  const [station] = it.stations;
  const ip = IpAddress("10.0.0.1");
  station.ask(request("associate", vm1, group([5001, a])), ...addresses(vm1, { mac: a, ip }));
  await pass(it.clock, 30);
  expect(it.nva.reports).toMatchObject([{ claims: [{ mac: a, ips: [ip] }] }]);
  expect(it.nva.admitted[0]?.content.get(VnId(5001))?.get(a)).toEqual(new Set([ip]));
  station.ask(request("associate", vm1, group([5001, a, 2])), ...addresses(vm1));
  await pass(it.clock, 30);
  expect(it.nva.reports.at(-1)).toMatchObject({ claims: [{ mac: a, ips: [] }] });
  expect(it.nva.admitted, "a keepalive is not decided again").toHaveLength(1);
});

test("V1: what was reserved with the same addresses is not asked of the NVA again; with others it is", async () => {
  const [station] = it.stations;
  const ip = IpAddress("10.0.0.1");
  const said = addresses(vm1, { mac: a, ip });
  station.ask(request("pre-associate-rr", vm1, group([5001, a])), ...said);
  await pass(it.clock, 30);
  expect(it.nva.admitted).toHaveLength(1);
  station.ask(request("associate", vm1, group([5001, a, 2])), ...said);
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ type: "associate", status: ok });
  expect(it.nva.reports.at(-1)).toMatchObject({ claims: [{ mac: a, ips: [ip] }] });
  expect(it.nva.admitted).toHaveLength(1);
  station.ask(request("associate", vm1, group([5001, a, 2], [5001, b, 2])), ...said);
  await pass(it.clock, 30);
  expect(station.last?.status).toEqual(ok);
  expect(it.nva.admitted).toHaveLength(2);
});

test("H26: whom the NVA turns away when it is told of the claim is let go, and told why", async () => {
  const [station] = it.stations;
  station.lldp(true, "reasons");
  station.ask(request("pre-associate-rr", vm1, group([5001, a])));
  await pass(it.clock, 30);
  it.nva.stored = new Promise(() => {});
  station.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 30);
  it.nva.turnAway(5001, vm1, 'policy "night" keeps it out');
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ type: "de-associate", status: { is: "request" } });
  expect(station.reasons.at(-1)).toContain('policy "night" keeps it out');
  expect(keysOf()).toEqual([]);
  expect(it.nva.reports.at(-1)).toMatchObject({ left: [5001] });
});

test("V1: who says no MACs claims none, and is asked about again", async () => {
  const [station] = it.stations;
  const silent = (vid?: Vid): Filters => ({
    by: "group-vid",
    entries: [{ groupId: 5001, ...(vid !== undefined && { vid }) }],
  });
  station.ask(request("pre-associate-rr", vm1, silent()));
  await pass(it.clock, 30);
  station.ask(request("associate", vm1, silent(Vid(2))));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ type: "associate", status: ok });
  expect(it.nva.admitted).toHaveLength(2);
});

test("H6: several requests of one ECPDU are answered together, in order", async () => {
  const [station] = it.stations;
  const foreign: Filters = { by: "mac-vid", entries: [{ mac: a, vid: Vid(77) }] };
  station.ask(
    request("associate", vm1, group([5001, a])),
    request("associate", vm2, foreign),
    request("associate", vm2, group([5002, b])),
  );
  await pass(it.clock, 30);
  expect(station.heard).toHaveLength(1);
  expect(station.answers.map(({ status, filters }) => [status.code, filters])).toEqual([
    [0, group([5001, a, 2])],
    [VdpError.invalidVidGroupOrMac, foreign],
    [0, group([5002, b, 3])],
  ]);
});

test("one slow decision does not hold the other answers for long", async () => {
  const [station] = it.stations;
  let open = (): void => {};
  it.dataplane.gate = new Promise((resolve) => {
    open = resolve;
  });
  const foreign: Filters = { by: "vid", entries: [{ vid: Vid(77) }] };
  station.ask(request("associate", vm1, group([5001, a])), request("associate", vm2, foreign));
  await pass(it.clock, 60);
  expect(station.answers).toMatchObject([refusal(VdpError.invalidVidGroupOrMac)]);
  open();
  await pass(it.clock, 400);
  expect(station.heard.map((one) => one.length)).toEqual([1, 1]);
  expect(station.last).toMatchObject({ status: ok, filters: group([5001, a, 2]) });
});

test("the answer waits until the NVA has stored the claim, but not for ever", async () => {
  const [station] = it.stations;
  it.nva.stored = new Promise(() => {});
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 100);
  expect(station.heard).toEqual([]);
  await pass(it.clock, 200);
  expect(station.last?.status).toEqual(ok);
});

test("H20: a move between two ports waits for no word of the NVA, unless that has the VNIC elsewhere", async () => {
  const [from, to] = it.stations;
  to.lldp(true);
  from.ask(request("associate", vm1, group([5001, a])));
  to.ask(request("pre-associate-rr", vm1, group([5001, a])));
  await pass(it.clock, 30);
  it.nva.stored = new Promise(() => {});
  to.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 30);
  expect(to.last).toMatchObject({ type: "associate", status: ok });
  it.nva.remote(5001, a, tor2);
  from.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 30);
  to.ask(request("pre-associate-rr", vm1, group([5001, a, 2])));
  await pass(it.clock, 30);
  const heard = to.heard.length;
  to.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 100);
  expect(to.heard).toHaveLength(heard);
  await pass(it.clock, 200);
  expect(to.last).toMatchObject({ type: "associate", status: ok });
});

test("H7: a De-Associate is answered at once, and nothing is left", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a], [5002, a])));
  await pass(it.clock, 30);
  station.ask(request("de-associate", vm1, group([5001, a, 2], [5002, a, 3])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ type: "de-associate", status: ok });
  expect(keysOf()).toEqual([]);
  expect([...it.nva.watched]).toEqual([]);
  expect(it.nva.reports.at(-1)).toMatchObject({ left: [5001, 5002] });
  station.ask(request("de-associate", vm2, group([5001, a])));
  await pass(it.clock, 30);
  expect(station.last, "what is not there is gone").toMatchObject({ status: ok });
});

test("H2: a station that falls silent loses its VSIs, and is told", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 10_000, 100);
  station.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 17_000, 100);
  expect(keysOf(), "the keepalive counts").not.toEqual([]);
  await pass(it.clock, 1000, 100);
  expect(station.last).toMatchObject({
    type: "de-associate",
    status: { is: "request", code: 0 },
  });
  expect(keysOf()).toEqual([]);
  expect(it.agent.core.vsis.size).toBe(0);
});

test("a link that goes down keeps its VSIs, and they go on when it is up again in time", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  it.cables[0].set("down");
  await pass(it.clock, 5000, 100);
  expect(keysOf()).toContain(`mac 15001 ${a}`);
  it.cables[0].set("up");
  station.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 16_000, 100);
  expect(keysOf()).toContain(`mac 15001 ${a}`);
});

test("V8: no tag left is refused with insufficient resources, and shown with its reason", async () => {
  it = tor("[{ name: swp1, tags: [7, 7] }, { name: swp2 }]");
  it.nva.connect();
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ status: ok, filters: group([5001, a, 7]) });
  station.ask(request("associate", vm2, group([5002, b])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject(refusal(VdpError.insufficientResources));
  expect(it.agent.refusals.newestFirst).toMatchObject([
    {
      port: "swp1",
      vnic: vm2,
      vns: [5002],
      code: 2,
      reason: "port swp1 has no tag left for VN 5002: all 1 are lent",
    },
  ]);
});

test("A7: an unknown VN is refused, nothing is lent, and the next request is decided anew", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([6001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac));
  expect(it.agent.core.ports.get("swp1")?.pool.lent.size).toBe(0);
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ status: ok });
});

test("H26: of a VN that it does not know the NVA is asked some 16 times a second by each port, however many want it", async () => {
  const [station] = it.stations;
  const flood = (first: number) =>
    Array.from({ length: 30 }, (_, n) => Uuid(`${vm1.slice(0, -2)}${first + n}`)).map((vsi) =>
      request("associate", vsi, group([6001, a])),
    );
  station.ask(...flood(10));
  await pass(it.clock, 100);
  station.ask(...flood(40));
  await pass(it.clock, 100);
  expect(station.answers, "all of them are refused").toHaveLength(60);
  expect(it.nva.admitted.length, "and those under way with the last").toBeLessThanOrEqual(32);
});

test("H26: a VN that is made just after it was asked for in vain is served at once", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([6001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac));
  it.nva.known.add(6001);
  station.ask(request("associate", vm1, group([6001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ status: ok });
});

test("A7: without the NVA an unknown VN is refused without KEEP, a known one is served", async () => {
  const [station, other] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  it.nva.connect(false);
  other.ask(request("associate", vm2, group([5002, b])));
  await pass(it.clock, 30);
  expect(other.last).toMatchObject(refusal(VdpError.managerUnreachable, { keep: false }));
  other.ask(request("associate", vm2, group([5001, b])));
  await pass(it.clock, 30);
  expect(other.last).toMatchObject({ status: ok });
  expect(keysOf()).toContain(`mac 15001 ${a}`);
});

test("A7: a change that is refused keeps the older state, and says KEEP", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  const before = keysOf();
  station.ask(request("associate", vm1, group([5001, a, 2], [6001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac, { keep: true }));
  expect(keysOf()).toEqual(before);
});

test("a NVA that does not answer costs no more than the resource wait, and then nothing is held", async () => {
  const [station] = it.stations;
  it.nva.gate = new Promise(() => {});
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 10_400, 100);
  expect(station.heard).toEqual([]);
  await pass(it.clock, 200, 10);
  expect(station.last).toMatchObject(refusal(VdpError.managerUnreachable));
  expect(it.agent.core.vsis.size).toBe(0);
});

test("A7: what the dataplane does not take is refused with its reason, and taken back", async () => {
  const [station] = it.stations;
  it.dataplane.fault = (intent) => (intent.is === "mac" ? "the map is full" : undefined);
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject(refusal(VdpError.insufficientResources));
  expect(keysOf()).toEqual([]);
  expect(it.agent.refusals.newestFirst[0]?.reason).toContain("the map is full");
  expect(it.agent.core.vsis.size).toBe(0);
});

test("one request that the dataplane does not take does not spoil those beside it", async () => {
  const [station, other] = it.stations;
  it.dataplane.fault = (intent) => (intent.is === "mac" && intent.mac === b ? "full" : undefined);
  station.ask(request("associate", vm1, group([5001, a])));
  other.ask(request("associate", vm2, group([5002, b])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ status: ok });
  expect(other.last).toMatchObject(refusal(VdpError.insufficientResources));
});

test("A10: what the NVA tells is applied; what the dataplane does not take is tried again", async () => {
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  it.dataplane.fault = () => "the map is full";
  it.nva.remote(5001, b, tor2);
  await pass(it.clock, 30);
  expect(it.agent.applier.state).toContain("the map is full");
  it.dataplane.fault = () => undefined;
  await pass(it.clock, 1000, 10);
  expect(it.agent.applier.state).toBe("in sync");
  expect(it.dataplane.intents.get(`mac 15001 ${b}`)).toMatchObject({ at: { vtep: tor2 } });
  expect(it.dataplane.intents.get("vn 15001")).toMatchObject({
    flood: [{ is: "local" }, { is: "remote", vtep: tor2 }],
  });
});

test("a VN that is deleted at the NVA: its stations are told, in one ECPDU", async () => {
  const [station] = it.stations;
  station.ask(
    request("associate", vm1, group([5001, a])),
    request("associate", vm2, group([5001, b])),
  );
  await pass(it.clock, 30);
  it.nva.deleteVn(5001);
  await pass(it.clock, 30);
  expect(station.heard.at(-1)).toMatchObject([
    { type: "de-associate", status: { is: "request" } },
    { type: "de-associate", status: { is: "request" } },
  ]);
  expect(keysOf()).toEqual([]);
  expect(it.agent.core.vsis.size).toBe(0);
});

test("GroupIDs that the station has not announced are refused", async () => {
  const [, other] = it.stations;
  other.lldp(false);
  await pass(it.clock, 30);
  other.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(other.last).toMatchObject(refusal(VdpError.invalidFormat));
  expect(it.agent.refusals.newestFirst).toHaveLength(1);
});

test("malformed frames of each protocol are counted, and the next good one is served", async () => {
  const [station] = it.stations;
  const to = "0180c2000000 525400aa0001";
  station.raw(octets(`${to} 88cc 0207`)); // LLDP: a chassis ID that is cut off
  station.raw(octets(`${to} 8940 10`)); // ECP: half a header
  station.ecp(octets("0a10 6d677231")); // VDP: a manager ID that is cut off
  station.raw(octets("0180c2"));
  await pass(it.clock, 30);
  const { malformed } = it.agent.ports.get("swp1")?.edge.counters ?? { malformed: {} };
  expect(
    Object.keys(malformed)
      .map((what) => what.split(".")[0])
      .sort(),
  ).toEqual(["ecp", "ethernet", "lldp", "vdp"]);
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(station.last).toMatchObject({ status: ok });
});

test("a port that is absent is waited for, and the dataplane is told when it comes and goes", async () => {
  it = tor(undefined, "absent");
  it.nva.connect();
  await settle();
  expect([it.agent.ports.get("swp1")?.state, it.dataplane.ports.size]).toEqual(["absent", 0]);
  it.cables[0].set("up");
  await settle();
  expect([...it.dataplane.ports]).toEqual(["swp1"]);
  it.stations[0].ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(it.stations[0].last).toMatchObject({ status: ok });
  it.cables[0].set("absent");
  await settle();
  expect(it.dataplane.ports.size).toBe(0);
});

test("V10: the port refuses more VSIs than it may have", async () => {
  it = tor("[{ name: swp1, maxVnics: 1 }, { name: swp2 }]");
  it.nva.connect();
  const [station] = it.stations;
  station.ask(
    request("associate", vm1, group([5001, a])),
    request("associate", vm2, group([5001, b])),
  );
  await pass(it.clock, 30);
  expect(station.heard.flat().map(({ status }) => status.code)).toEqual([
    0,
    VdpError.insufficientResources,
  ]);
});

test("ending says farewell in LLDP, and takes the dataplane and the session down", async () => {
  const [cable] = it.cables;
  const frames: Uint8Array[] = [];
  cable.tap((from, frame) => {
    if (from === "b") frames.push(frame);
  });
  await it.agent.close();
  expect([it.dataplane.closed, it.nva.closed]).toEqual([true, true]);
  const last = Buffer.from(frames.at(-1) ?? []).toString("hex");
  expect(last, "TTL TLV with 0").toContain("06020000");
});
