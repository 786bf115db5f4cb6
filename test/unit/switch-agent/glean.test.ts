import { type Filters, Instant, IpAddress, Mac, type VnId } from "@nve/protocol-spec";
import type { LocalPlace, PortTag } from "@nve/switch-agent/nve";
import { beforeEach, describe, expect, test } from "vitest";
import { broadcast, testFrame } from "../../support/frames.ts";
import { advertisementFrom, arpFrom, dhcpAck } from "../../support/sighted.ts";
import { a, Bench, b, groups, port, red, tor2, vniOf } from "./nve-bench.ts";

const c = Mac("02:00:00:00:00:0c");
const server = Mac("02:00:00:00:00:fe");
const glean = { glean: true } as const;
const ip = IpAddress("10.0.0.1");
const other = IpAddress("10.0.0.2");
/** A VSI that does not say its MACs (filter format 3). */
const silent: Filters = { by: "group-vid", entries: [{ groupId: red }] };

let nve: Bench;
let logs: string[];

beforeEach(() => {
  logs = [];
  nve = new Bench(
    { ...port("swp1"), rules: glean, maxGleaned: 3 },
    { ...port("swp2"), rules: glean },
    port("swp3"),
  );
  nve.feed({ on: "nva", connected: true });
  for (const name of ["swp1", "swp2", "swp3"]) nve.ask(name, name, silent);
});

const at = (name: string, vn: VnId = red): LocalPlace => {
  const vid: PortTag | undefined = nve.core.ports.get(name)?.pool.tagOf(vn);
  if (vid === undefined) throw new Error(`VN ${vn} is not on ${name}`);
  return { is: "local", port: name, vid };
};

function see(name: string, octets: Uint8Array): void {
  nve.feed({ on: "sample", sample: { vni: vniOf(red), at: at(name), octets } });
  for (const { what } of nve.did("log")) logs.push(what);
}

const seen = (name: string, mac = a) => see(name, testFrame(undefined, broadcast, mac));
const where = (mac = a) => nve.intents.find((intent) => intent.is === "mac" && intent.mac === mac);
const claim = (mac = a) => nve.claims.get(`${red} ${mac}`);
const count = (name: string) => nve.core.gleaned.counters(name);

/** Time goes on; a MAC that was heard, was heard just now. */
function after(seconds: number, ...heard: Mac[]): void {
  nve.now = Instant(nve.now + seconds * 1000);
  nve.feed({ on: "tick", heard: heard.map((mac) => ({ vn: red, mac, seen: nve.now })) });
}

const elsewhere = (mac = a) => ({
  vn: red,
  mappings: [{ mac, ips: [], ...tor2 }],
  withdrawn: [],
  members: [tor2],
  membersLeft: [],
});

describe("MACs", () => {
  test("H16: a MAC that is seen at a place is there, and the NVA is told that nobody said so", () => {
    seen("swp1");
    expect(where()).toMatchObject({ is: "mac", vni: vniOf(red), mac: a, at: at("swp1") });
    expect(claim()).toMatchObject({ port: "swp1", gleaned: true, ips: [], hypervisor: "server1" });
    seen("swp1");
    expect(nve.effects).toEqual([]);
  });

  test("nothing is gleaned where nobody wants it, nor of a VN that is not there", () => {
    seen("swp3");
    nve.feed({
      on: "sample",
      sample: { vni: vniOf((red + 1) as VnId), at: at("swp1"), octets: testFrame(undefined) },
    });
    expect(nve.claims.size).toBe(0);
  });

  test.each(["00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"])(
    "%s is never gleaned",
    (text) => {
      seen("swp1", Mac(text));
      expect(nve.claims.size).toBe(0);
    },
  );

  test("H16: it moves to another gleaning place, with its IPs, and the NVA hears nothing of the port (H20)", () => {
    see("swp1", arpFrom(a, ip));
    nve.now = Instant(1000);
    seen("swp2");
    expect(where()).toMatchObject({ at: at("swp2") });
    expect(claim()?.ips).toEqual([ip]);
    expect(count("swp2").moves).toBe(1);
    expect([nve.core.gleaned.at("swp1"), nve.core.gleaned.at("swp2")]).toEqual([0, 1]);
  });

  test("one that moves all the time stays where it is for a minute, and that is logged once", () => {
    for (let n = 0; n < 12; n++) {
      nve.now = Instant(n * 1000);
      seen(n % 2 ? "swp2" : "swp1");
    }
    expect(count("swp1").moves + count("swp2").moves).toBe(6);
    expect(count("swp1").flapping + count("swp2").flapping).toBe(3);
    expect(logs).toEqual(["a MAC moves all the time: it stays where it is for a minute"]);
    const stays = where();
    nve.now = Instant(65_000);
    seen("swp1");
    expect(where()).toEqual(stays);
    nve.now = Instant(67_000);
    seen("swp2");
    expect(where()).not.toEqual(stays);
  });

  test("five moves in ten seconds are not too often", () => {
    for (let n = 0; n < 6; n++) seen(n % 2 ? "swp2" : "swp1");
    expect(logs).toEqual([]);
    nve.now = Instant(11_000);
    seen("swp1");
    expect(count("swp1").flapping).toBe(0);
  });

  test("V10: a port has so many and no more; what has aged makes room", () => {
    for (const n of [1, 2, 3, 4]) seen("swp1", Mac(`02:00:00:00:01:0${n}`));
    expect([nve.claims.size, count("swp1")["over-limit"]]).toEqual([3, 1]);
    seen("swp2", Mac("02:00:00:00:01:05"));
    seen("swp1", Mac("02:00:00:00:01:05")); // no room to move to
    expect(where(Mac("02:00:00:00:01:05"))).toMatchObject({ at: at("swp2") });
    after(301);
    seen("swp1", Mac("02:00:00:00:01:04"));
    expect(claim(Mac("02:00:00:00:01:04"))).toBeDefined();
  });

  test("a frame that lies about itself is counted and nothing of it believed", () => {
    see("swp1", arpFrom(a, ip).subarray(0, 30));
    expect([nve.claims.size, count("swp1").malformed]).toEqual([0, 1]);
  });
});

describe("IPs", () => {
  test("H16: IPs of ARP, ND and DHCP are claimed with the MAC", () => {
    see("swp1", arpFrom(a, ip));
    see("swp1", advertisementFrom(a, "fd00::1"));
    see("swp2", dhcpAck(server, a, other, 60));
    expect(claim()?.ips).toEqual([ip, other, "fd00::1"]);
    const { ips } = nve.core.gleaned.of(red).get(a) ?? {};
    expect([...(ips ?? [])].map(([of, { by }]) => [of, by])).toEqual([
      [ip, "arp"],
      ["fd00::1", "nd"],
      [other, "dhcp"],
    ]);
  });

  test("a DHCP server on another NVE is believed, and only of a MAC that is here", () => {
    seen("swp1");
    nve.feed({ on: "sample", sample: { vni: vniOf(red), octets: dhcpAck(server, a, ip, 60) } });
    nve.feed({ on: "sample", sample: { vni: vniOf(red), octets: dhcpAck(server, c, other, 60) } });
    nve.feed({ on: "sample", sample: { vni: vniOf(red), octets: arpFrom(a, other) } });
    expect([...nve.claims.keys()]).toEqual([`${red} ${a}`]);
    expect(claim()?.ips).toEqual([ip]);
  });

  test("an IP of the VN has one MAC here: the newest", () => {
    see("swp1", arpFrom(a, ip));
    see("swp2", arpFrom(b, ip));
    expect([claim(a)?.ips, claim(b)?.ips]).toEqual([[], [ip]]);
  });

  test("V10: a MAC has so many IPs and no more", () => {
    for (let n = 1; n <= 40; n++) see("swp1", arpFrom(a, `10.0.1.${n}`));
    expect(claim()?.ips).toHaveLength(32);
    expect(count("swp1")["over-limit"]).toBe(8);
  });
});

describe("what is said comes first (H17)", () => {
  test("H17: a MAC that was said to be at another place stays there; that is a conflict, logged once a minute", () => {
    nve.ask("vm", "swp3", groups([red, a]));
    see("swp1", arpFrom(a, ip));
    see("swp1", arpFrom(a, ip));
    expect(where()).toMatchObject({ at: at("swp3") });
    expect(claim()).toMatchObject({ port: "swp3", ips: [] });
    expect(claim()?.gleaned).toBeUndefined();
    expect(logs).toEqual(["a MAC is seen where it was not said to be"]);
    expect(nve.core.gleaned.conflicts(red)).toMatchObject([
      { mac: a, at: at("swp1"), times: 2, with: `swp3:${at("swp3").vid}` },
    ]);
    nve.now = Instant(61_000);
    seen("swp1");
    expect(logs).toHaveLength(2);
    after(61);
    expect(nve.core.gleaned.conflicts(red)).toEqual([]);
  });

  test("H17: a MAC that is said after it was gleaned elsewhere goes where it was said", () => {
    see("swp1", arpFrom(a, ip));
    nve.ask("vm", "swp3", groups([red, a]));
    expect(where()).toMatchObject({ at: at("swp3") });
    expect(claim()?.ips).toEqual([]);
    expect(nve.core.gleaned.of(red).size).toBe(0);
  });

  test("H17: what was said does not age by silence", () => {
    nve.ask("vm", "swp1", groups([red, a]));
    see("swp1", arpFrom(a, ip));
    expect(claim()).toMatchObject({ ips: [ip] });
    after(10_000);
    expect(where()).toMatchObject({ at: at("swp1") });
    expect(claim()?.ips).toEqual([]); // the IP was only seen
  });

  test("H17: IPs complete a MAC of which none was said; of one with IPs they are known, and not claimed", () => {
    nve.ask("vm", "swp1", groups([red, a]));
    nve.ask("vm2", "swp1", groups([red, b]), { addresses: [{ vn: red, mac: b, ip: other }] });
    see("swp1", arpFrom(a, ip));
    see("swp1", arpFrom(b, "10.0.0.3"));
    expect([claim(a)?.ips, claim(b)?.ips]).toEqual([[ip], [other]]);
    expect([...(nve.core.gleaned.of(red).get(b)?.ips.keys() ?? [])]).toEqual(["10.0.0.3"]);
    see("swp2", arpFrom(c, other)); // b's, as was said
    expect(claim(c)?.ips).toEqual([]);
    expect(count("swp2").conflicts).toBe(1);
  });

  test("H19: with a VNIC goes what was seen of it", () => {
    nve.ask("vm", "swp1", groups([red, a]));
    see("swp1", arpFrom(a, ip));
    nve.release("vm");
    expect([where(), claim()]).toEqual([undefined, undefined]);
    seen("swp1");
    expect(claim()?.gleaned).toBe(true);
  });

  test("H2: with the last of a place goes what was seen there; with the VN everything", () => {
    seen("swp1");
    seen("swp2", b);
    nve.release("swp1");
    expect([...nve.claims.keys()]).toEqual([`${red} ${b}`]);
    nve.feed({ on: "port-gone", name: "swp2" });
    expect(nve.claims.size).toBe(0);
    nve.release("swp3");
    expect([...nve.core.gleaned.of(red)]).toEqual([]);
    expect(nve.intents).toEqual([]);
  });
});

describe("two NVEs", () => {
  test("H17: a MAC that the NVA has elsewhere is claimed and left there, until the NVA has decided", () => {
    nve.feed({ on: "remote", change: elsewhere() });
    seen("swp1");
    expect(where()).toMatchObject({ at: { is: "remote", vtep: tor2.vtep } });
    expect(claim()).toMatchObject({ gleaned: true });
    expect(nve.core.gleaned.conflicts(red)).toEqual([]);
    // gleaned there too, it has moved here:
    nve.feed({ on: "remote", change: { ...elsewhere(), mappings: [], withdrawn: [a] } });
    expect(where()).toMatchObject({ at: at("swp1") });
  });

  test("H17: said there, it stays there, and after a while that is a conflict", () => {
    nve.feed({ on: "remote", change: elsewhere() });
    seen("swp1");
    nve.now = Instant(6000);
    seen("swp1");
    expect(nve.core.gleaned.conflicts(red)).toMatchObject([{ mac: a, with: "NVE tor2" }]);
    expect(where()).toMatchObject({ at: { is: "remote" } });
  });

  test("H16: one that is seen or said at another NVE later has moved there", () => {
    seen("swp1");
    nve.feed({ on: "remote", change: elsewhere() });
    expect(where()).toMatchObject({ at: { is: "remote", vtep: tor2.vtep } });
    expect(claim()).toBeUndefined();
    seen("swp1"); // and back: the NVA decides
    expect(claim()).toBeDefined();
    expect(where()).toMatchObject({ at: { is: "remote", vtep: tor2.vtep } });
  });

  test("what the NVA repeats of others while we wait changes nothing", () => {
    nve.feed({ on: "remote", change: elsewhere() });
    seen("swp1");
    nve.feed({ on: "remote", change: elsewhere() });
    expect(claim()).toBeDefined();
  });
});

describe("age", () => {
  test("H17: what was gleaned goes after the silence, not before", () => {
    seen("swp1");
    expect(nve.core.gleaned.deadline).toBe(300_000);
    after(299);
    expect(claim()).toBeDefined();
    expect([...nve.core.gleaned.due(Instant(300_000))]).toEqual([
      { vn: red, mac: a, at: at("swp1") },
    ]);
    after(1);
    expect([where(), claim(), count("swp1").aged]).toEqual([undefined, undefined, 1]);
    expect(nve.core.gleaned.deadline).toBeUndefined();
  });

  test("H17: a MAC that is heard stays, its IP of which nobody spoke does not", () => {
    see("swp1", arpFrom(a, ip));
    after(200, a);
    expect(claim()?.ips).toEqual([ip]);
    after(100, a);
    expect(claim()).toMatchObject({ ips: [] });
    expect(where()).toBeDefined();
    expect(nve.core.gleaned.deadline).toBe(600_000);
  });

  test("H17: an IP of DHCP stays for its lease, though ARP repeats it or falls silent, and no longer", () => {
    seen("swp1");
    see("swp2", dhcpAck(server, a, ip, 1000));
    after(500, a);
    see("swp1", arpFrom(a, ip));
    after(499, a);
    expect(claim()?.ips).toEqual([ip]);
    after(1, a);
    expect(claim()?.ips).toEqual([]);
  });

  test("a lease for ever ends with its MAC", () => {
    seen("swp1");
    see("swp2", dhcpAck(server, a, ip, 0xffff_ffff));
    after(200, a);
    expect(claim()?.ips).toEqual([ip]);
    after(300);
    expect(claim()).toBeUndefined();
  });

  test("a lease of nothing at all is over at once", () => {
    seen("swp1");
    see("swp2", dhcpAck(server, a, ip, 0));
    after(0);
    expect(claim()?.ips).toEqual([]);
  });
});

test.each(["127.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "ff02::1"])(
  "a VSI that says it has %s is refused, and keeps what it had",
  (text) => {
    const addresses = [{ vn: red, mac: a, ip: IpAddress(text) }];
    nve.ask("vm", "swp3", groups([red, a]), { addresses });
    expect(nve.refused?.reason).toBe(`${text} is no address that a host has`);
    nve.ask("vm", "swp3", groups([red, a]));
    nve.feed({ on: "addresses", vsi: "vm", addresses: [...addresses, { mac: a, ip }] });
    expect(claim()?.ips).toEqual([ip]);
  },
);
