import { IpAddress, Mac, nameTlvs, Uuid, VdpError, VnId, vsiIdOf } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { addresses, request, Station } from "./station.ts";
import { pass, type Tor, tor } from "./tor.ts";
import { a, b, group, ok, refusal, vm1, vm2 } from "./vsis.ts";

const stranger = Mac("52:54:00:aa:00:99");
const policyOf = (text: string) => `[{ name: swp1, policy: { ${text} } }, { name: swp2 }]`;

let it: Tor;
let station: Station;

/** A port with this policy, and a station on it that is heard and may put questions. */
async function start(policy: string): Promise<void> {
  it = tor(policyOf(policy));
  [station] = it.stations;
  it.nva.connect();
  station.lldp(true, "reasons");
  await pass(it.clock, 10);
}

const ask = async (
  type: "associate" | "de-associate",
  vnic: Uuid,
  ...more: Parameters<typeof group>
) => {
  station.ask(request(type, vnic, group(...more)));
  await pass(it.clock, 60);
};
const refused = () => it.agent.ports.get("swp1")?.door.refused;
const known = () => [...it.agent.core.vsis.keys()].length;

beforeEach(() => start(""));

test("H26: a VN, a MAC and an IP that are not allowed are refused before the NVA is asked, and counted", async () => {
  await start('vns: [5001], macs: ["02:00:00:00:00:0a"], ips: [10.0.0.0/24]');
  await ask("associate", vm1, [5002, a]);
  await ask("associate", vm1, [5001, b]);
  station.ask(
    request("associate", vm1, group([5001, a])),
    ...addresses(vm1, { ip: IpAddress("10.0.1.1") }),
  );
  await pass(it.clock, 60);
  expect(station.answers).toMatchObject([
    refusal(VdpError.invalidVidGroupOrMac, { hard: true }),
    refusal(VdpError.invalidVidGroupOrMac, { hard: true }),
    refusal(VdpError.other, { hard: true }),
  ]);
  expect(station.reasons).toEqual([
    "5 VN 5002 is not allowed on this port",
    `5 MAC ${b} is not allowed on this port`,
    "4 IP 10.0.1.1 is not allowed on this port",
  ]);
  expect([it.nva.admitted, known()]).toEqual([[], 0]);
  expect(refused()).toMatchObject({ vn: 1, mac: 1, ip: 1 });
  expect(it.agent.refusals.newestFirst.map(({ code, vns }) => [code, vns])).toEqual([
    [4, [5001]],
    [5, [5001]],
    [5, [5002]],
  ]);
  await ask("associate", vm1, [5001, a]);
  expect(station.last?.status).toEqual(ok);
});

test("H26: what is refused leaves what was there as it was, with KEEP", async () => {
  await start("vns: [5001]");
  await ask("associate", vm1, [5001, a]);
  await ask("associate", vm1, [5001, a], [5002, a]);
  expect(station.last).toMatchObject(
    refusal(VdpError.invalidVidGroupOrMac, { hard: true, keep: true }),
  );
  await ask("associate", vm1, [5001, a, 2]);
  expect(station.last?.status, "a keepalive").toEqual(ok);
  expect(known()).toBe(1);
});

test("H26: MACs and IPs are limited over all VNICs of the port, and free again when one goes", async () => {
  await start("maxMacs: 2, maxIps: 1");
  await ask("associate", vm1, [5001, a], [5002, a]);
  await ask("associate", vm2, [5001, b]);
  expect(station.last).toMatchObject(refusal(VdpError.insufficientResources));
  expect(station.reasons.at(-1)).toContain("this port takes 2 (maxMacs)");
  await ask("associate", vm1, [5001, a]);
  await ask("associate", vm2, [5001, b]);
  expect(station.last?.status).toEqual(ok);
  await ask("de-associate", vm1, [5001, a]);
  await ask("associate", vm2, [5001, b], [5002, b]);
  expect(station.last?.status).toEqual(ok);
  const ip = (text: string) => ({ ip: IpAddress(text), mac: b });
  const say = async (...ips: string[]) => {
    station.ask(
      request("associate", vm2, group([5001, b], [5002, b])),
      ...addresses(vm2, ...ips.map(ip)),
    );
    await pass(it.clock, 60);
    return station.last?.status;
  };
  expect(await say("10.0.0.1"), "addresses alone are new").toEqual(ok);
  expect(await say("10.0.0.1", "10.0.0.2")).toMatchObject({ code: 2, keep: true });
  expect(station.reasons.at(-1)).toContain("(maxIps)");
  expect(await say("10.0.0.3")).toEqual(ok);
  expect(refused()).toMatchObject({ limit: 2 });
});

test("H26: what a refused request would have used is not used, also where an older state stays", async () => {
  await start("maxMacs: 2");
  it.nva.known.delete(5003);
  await ask("associate", vm2, [5003, a], [5003, b]);
  expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac));
  await ask("associate", vm1, [5001, a]);
  await ask("associate", vm1, [5001, a], [5003, a]);
  expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac, { keep: true }));
  await ask("associate", vm2, [5001, b]);
  expect(station.last?.status).toEqual(ok);
  expect(refused()).toMatchObject({ limit: 0 });
});

test("H26: a VN that the policy names by its Name is let in by its ID, when the NVA says that it is that", async () => {
  const name = "66571c6d-f315-4e20-ac2f-1c85d8413f03";
  await start(`vns: ["${name}"]`);
  await ask("associate", vm1, [5001, a]);
  expect(it.nva.admitted).toHaveLength(1);
  expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac, { hard: true }));
  expect(it.agent.core.ports.get("swp1")?.pool.lent.size).toBe(0);
  expect(refused()).toMatchObject({ vn: 1 });
});

test("H26: a station that is not allowed is counted, and told at most once a second", async () => {
  await start(`stations: ["52:54:00:aa:00:01"]`);
  const other = new Station(it.cables[0].a, stranger);
  for (let n = 0; n < 10; n += 1) {
    other.ask(request("associate", vm1, group([5001, a])));
    await pass(it.clock, 20);
  }
  const told = station.answers.length; // the link is one: both hear it
  expect(told).toBe(1);
  expect(station.last).toMatchObject(refusal(VdpError.other, { hard: true }));
  expect(station.reasons[0]).toBe(`4 station ${stranger} is not allowed on this port`);
  expect(refused()).toMatchObject({ station: 10 });
  expect(it.agent.refusals.newestFirst).toMatchObject([{ port: "swp1", vnic: vm1, vns: [5001] }]);
  await pass(it.clock, 1000, 50);
  other.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 60);
  expect(station.answers.length).toBe(2);
  expect([it.nva.admitted, known()]).toEqual([[], 0]);
  await ask("associate", vm1, [5001, a]);
  expect(station.last?.status).toEqual(ok);
  await pass(it.clock, 1000, 50);
  other.ask(request("associate", vm1, group([5001, a])));
  other.ask(request("de-associate", vm1, group([5001, a])));
  const before = station.answers.length;
  await pass(it.clock, 60);
  expect(station.answers.length, "of the VSI of another nothing is said").toBe(before);
  expect(known()).toBe(1);
});

test("H26: a VSI does not change hands: neither asked for nor given back by another, and the owner hears nothing", async () => {
  await ask("associate", vm1, [5001, a]);
  const answers = station.answers.length;
  const thief = new Station(it.cables[0].a, stranger);
  thief.ask(request("associate", vm1, group([5002, a])));
  await pass(it.clock, 60);
  thief.ask(request("de-associate", vm1, group([5001, a])));
  await pass(it.clock, 60);
  expect(station.answers.length).toBe(answers);
  expect(refused()).toMatchObject({ owner: 2 });
  expect(it.agent.refusals.newestFirst).toMatchObject([
    { vnic: vm1, reason: `station ${stranger} asks for a VNIC of station 52:54:00:aa:00:01` },
  ]);
  expect(it.dataplane.intents.has(`mac 15001 ${a}`)).toBe(true);
  await ask("associate", vm1, [5001, a, 2]);
  expect(station.last?.status).toEqual(ok);
});

test("a station whose address changes keeps its VSIs when LLDP says that it is the same", async () => {
  await ask("associate", vm1, [5001, a]);
  const renewed = new Station(it.cables[0].a, stranger);
  renewed.lldp(true, "reasons");
  await pass(it.clock, 10);
  renewed.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 60);
  expect(renewed.last?.status).toEqual(ok);
  expect(refused()).toMatchObject({ owner: 0 });
  const another = new Station(it.cables[0].a, Mac("52:54:00:aa:00:77"), "server2");
  another.lldp(true, "reasons");
  await pass(it.clock, 10);
  another.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 60);
  expect(refused()).toMatchObject({ owner: 1 });
});

test("when the link was down, whoever comes first may be another server", async () => {
  await ask("associate", vm1, [5001, a]);
  it.cables[0].set("down");
  await pass(it.clock, 10);
  it.cables[0].set("up");
  await pass(it.clock, 10);
  const another = new Station(it.cables[0].a, stranger, "server2");
  another.ask(request("associate", vm1, group([5001, a, 2])));
  await pass(it.clock, 60);
  expect(another.last?.status).toEqual(ok);
});

test("H26: the NVA is told which station asks", async () => {
  await ask("associate", vm1, [5001, a]);
  expect(it.nva.admitted[0]).toMatchObject({ station: "52:54:00:aa:00:01" });
  expect(it.nva.admitted[0]).not.toHaveProperty("authenticated");
});

test("while the NVA is away a change that needs it is refused with KEEP, and the older state stays and is kept alive", async () => {
  await ask("associate", vm1, [5001, a]);
  it.nva.connect(false);
  await ask("associate", vm1, [5001, a], [5002, a]);
  expect(station.last).toMatchObject(refusal(VdpError.managerUnreachable, { keep: true }));
  expect(it.dataplane.intents.has(`mac 15001 ${a}`)).toBe(true);
  await ask("associate", vm1, [5001, a, 2]);
  expect(station.last?.status).toEqual(ok);
});

test("an answer that is longer than a ULPDU leaves its least important TLVs out", async () => {
  const names = Array.from({ length: 38 }, (_, n) => ({
    placeholder: 0xff000001 + n,
    name: Uuid(`00000000-0000-4000-8000-0000000050${String(10 + n)}`),
  }));
  for (const [n, { name }] of names.entries()) it.nva.names.set(name, VnId(5010 + n));
  for (let n = 0; n < 38; n += 1) it.nva.mtus.set(5010 + n, 1500);
  station.lldp(true, "reasons", "mtus", "names");
  await pass(it.clock, 10);
  station.ask(
    request("associate", vm1, {
      by: "group-mac-vid",
      entries: names.map(({ placeholder }) => ({ groupId: placeholder, mac: a })),
    }),
    ...nameTlvs({ vsiId: vsiIdOf(vm1), entries: names }),
  );
  await pass(it.clock, 400, 5);
  expect(station.last?.status).toEqual(ok);
  expect(station.named.length).toBe(38);
});
