import { IpAddress, IpPrefix } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { blue, claim, mac, world } from "./world.ts";

const ip = IpAddress("10.0.0.1");
const seen = { gleaned: true } as const;
let nva: ReturnType<typeof world>;
let tor1: ReturnType<typeof nva.connect>;
let tor2: ReturnType<typeof nva.connect>;
beforeEach(() => {
  nva = world();
  tor1 = nva.connect("tor1", "10.0.0.1");
  tor2 = nva.connect("tor2", "10.0.0.2");
});

test("H17: what somebody said comes before what was gleaned, whichever was first and however often it is seen", () => {
  nva.tell(tor1, { claims: [claim(1, seen)] });
  nva.tell(tor2, { claims: [claim(1)] });
  expect(nva.where(1)).toBe("tor2");
  nva.tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
  nva.tell(tor1, { claims: [claim(1, { ...seen, sequence: 99 })] });
  expect(nva.where(1)).toBe("tor2");
});

test("H16: what nobody said is where it was gleaned last: it has moved", () => {
  nva.tell(tor1, { claims: [claim(1, seen)] });
  nva.tell(tor2, { claims: [claim(1, seen)] });
  expect([nva.where(1), nva.sequence(1)]).toEqual(["tor2", 2]);
  nva.tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
  nva.tell(tor1, { claims: [claim(1, seen)] });
  expect([nva.where(1), nva.sequence(1)]).toEqual(["tor1", 3]);
});

test("H17: with the last word withdrawn, what is still seen counts, and the sequence goes up", () => {
  nva.tell(tor2, { claims: [claim(1)] });
  nva.tell(tor1, { claims: [claim(1, seen)] });
  const gone = nva.tell(tor2, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
  expect([nva.where(1), gone.touched.get(blue)?.macs.has(mac(1))]).toEqual(["tor1", true]);
  expect(nva.sequence(1)).toBeGreaterThan(1);
});

test("H17: an IP is looked up at the MAC of which it was said, not at one that was gleaned later", () => {
  nva.tell(tor1, { claims: [claim(1, { ips: [ip] })] });
  nva.tell(tor2, { claims: [claim(2, { ...seen, ips: [ip] })] });
  expect(nva.all.lookup(blue, ip)?.mac).toBe(mac(1));
  nva.tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
  expect(nva.all.lookup(blue, ip)?.mac).toBe(mac(2));
});

test("a MAC that was gleaned and is said then, by the same NVE, is a change", () => {
  nva.tell(tor1, { claims: [claim(1, seen)] });
  nva.tell(tor2, { claims: [claim(1, seen)] });
  nva.tell(tor1, { claims: [claim(1)] });
  expect(nva.where(1)).toBe("tor1");
});

test("a gleaned claim is one after a restart, too", () => {
  nva.tell(tor1, { claims: [claim(1, seen)] });
  nva.tell(tor2, { claims: [claim(1)] });
  nva.restart();
  expect(nva.where(1)).toBe("tor2");
  const held = [...nva.all.claims(blue)].map(({ claim }) => [claim.nveId, claim.gleaned]);
  expect(held).toEqual([
    ["tor1", true],
    ["tor2", undefined],
  ]);
});

test.each([
  "127.0.0.1",
  "0.0.0.0",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "ff02::1",
  "239.0.0.0/8",
  "127.0.0.0/8",
  "ff00::/8",
])("an address that no host has is refused: %s", (text) => {
  const { result } = nva.tell(tor1, { claims: [claim(1, { ips: [IpPrefix(text)] })] });
  expect(result?.[0]?.reason).toBe(`${text} is no address that a host has`);
  expect(nva.where(1)).toBeUndefined();
});

test.each(["0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8", "fe80::1", "169.254.0.1"])(
  "an address of hosts is taken: %s",
  (text) => {
    const { result } = nva.tell(tor1, { claims: [claim(1, { ips: [IpPrefix(text)] })] });
    expect(result).toEqual([]);
  },
);
