import {
  decode,
  EtherType,
  IpAddress,
  IpPrefix,
  readArp,
  readFrame,
  readNd,
  Vid,
} from "@nve/protocol-spec";
import { framesOf } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";
import { a, Bench, b, groups, port, red, tor2, vnicOf } from "./nve-bench.ts";

const ip4 = IpAddress("10.0.0.1");
const ip6 = IpAddress("fd00::1");
const places = [
  { is: "local", port: "swp1", vid: Vid(7) },
  { is: "local", port: "swp2", vid: 0 },
] as const;

test("M3: a gratuitous ARP for each place, with its tag, from the address that has moved", () => {
  const frames = [...framesOf({ vn: red, mac: a, ips: [ip4], places })];
  expect(frames.map(({ port: name }) => name)).toEqual(["swp1", "swp2"]);
  const [first, second] = frames.map(({ frame }) => decode(frame, readFrame));
  expect(first).toMatchObject({ source: a, destination: "ff:ff:ff:ff:ff:ff", tag: { vid: 7 } });
  expect(second).not.toHaveProperty("tag");
  expect(first?.etherType).toBe(EtherType.arp);
  expect(decode((first?.payload ?? new Uint8Array()).subarray(0, 28), readArp)).toEqual({
    op: "request",
    sender: { mac: a, ip: ip4 },
    target: { mac: "00:00:00:00:00:00", ip: ip4 },
  });
});

test("M3: an unsolicited advertisement to all nodes, hop limit 255, with a checksum that is right", () => {
  const [only] = framesOf({ vn: red, mac: a, ips: [ip6], places: [places[0]] });
  const { etherType, destination, payload } = decode(only?.frame ?? new Uint8Array(), readFrame);
  expect([etherType, destination, payload[7]]).toEqual([EtherType.ipv6, "33:33:00:00:00:01", 255]);
  const body = payload.subarray(40);
  expect(decode(body, readNd)).toMatchObject({
    is: "advertisement",
    target: ip6,
    solicited: false,
    override: true,
    linkLayer: a,
  });
  const pseudo = [...payload.subarray(8, 40), 0, 0, 0, body.length, 0, 0, 0, 58, ...body];
  let sum = 0;
  for (let i = 0; i < pseudo.length; i += 2) sum += (pseudo[i] ?? 0) * 256 + (pseudo[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  expect(sum).toBe(0xffff);
});

test("prefixes are nobody's to announce", () => {
  const ips = [IpPrefix("10.0.0.0/28")];
  expect([...framesOf({ vn: red, mac: a, ips, places })]).toEqual([]);
});

test("M3: who is here hears of what has moved, from the NVA or between two ports, and not of what is new or still", () => {
  const nve = new Bench(port("swp1"), port("swp2"), port("swp3"));
  nve.feed({ on: "nva", connected: true });
  nve.ask("vm2", "swp2", groups([red, b]));
  const remote = (at: typeof tor2) => ({
    vn: red,
    ...{ mappings: [{ mac: a, ips: [ip4], ...at }], withdrawn: [], members: [at], membersLeft: [] },
  });
  const announced = () => nve.did("announce").flatMap(({ all }) => all);
  nve.feed({ on: "remote", change: remote(tor2) });
  expect(announced()).toEqual([]); // new
  nve.feed({ on: "remote", change: remote({ ...tor2, vtep: IpAddress("192.0.2.3") }) });
  expect(announced()).toMatchObject([{ mac: a, ips: [ip4], places: [{ port: "swp2" }] }]);
  const addresses = [{ vn: red, mac: a, ip: ip4 }];
  nve.ask("vm1/1", "swp1", groups([red, a]), { vnic: vnicOf("vm1"), addresses });
  expect(announced()).toMatchObject([{ mac: a, places: [{ port: "swp2" }] }]);
  nve.ask("vm1/3", "swp3", groups([red, a]), { vnic: vnicOf("vm1"), addresses });
  expect(announced()).toMatchObject([{ mac: a, places: [{ port: "swp2" }] }]);
  nve.release("vm1/1");
  expect(announced()).toEqual([]);
});
