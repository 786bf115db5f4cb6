import {
  faultOf,
  leaves,
  minus,
  plus,
  resolved,
  type Tree,
  unresolved,
} from "@nve/hypervisor-agent/stations/tree";
import { IpAddress, Mac, Uuid, VnId } from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");
const ip1 = IpAddress("10.0.0.1");
const ip2 = IpAddress("10.0.0.2");
const tree = (vn: number, mac: Mac, ...ips: IpAddress[]): Tree => [
  { vn: VnId(vn), macs: [{ mac, ips }] },
];

describe("plus", () => {
  test("H6: a VNIC takes several VNs, several MACs per VN and several IPs per MAC", () => {
    const all = [tree(5, a, ip1), tree(5, b), tree(6, Mac("02:00:00:00:00:0c")), tree(5, a, ip2)];
    expect(all.reduce(plus, [])).toEqual([
      {
        vn: 5,
        macs: [
          { mac: a, ips: [ip1, ip2] },
          { mac: b, ips: [] },
        ],
      },
      { vn: 6, macs: [{ mac: "02:00:00:00:00:0c", ips: [] }] },
    ]);
  });

  test("what is there already is not there twice", () => {
    const once = tree(5, a, ip1);
    expect(plus(once, tree(5, a, ip1, ip1))).toEqual(once);
  });
});

describe("minus", () => {
  const full = [tree(5, a, ip1, ip2), tree(5, b), tree(6, Mac("02:00:00:00:00:0c"))].reduce(
    plus,
    [],
  );

  test("H7: a VN goes with its MACs and their IPs", () => {
    expect(minus(full, { vn: VnId(5) })).toEqual(tree(6, Mac("02:00:00:00:00:0c")));
  });

  test("H7: a MAC goes with its IPs, and nothing else does", () => {
    expect(minus(full, { vn: VnId(5), mac: a })).toEqual(
      plus(tree(5, b), tree(6, Mac("02:00:00:00:00:0c"))),
    );
  });

  test("an IP goes alone", () => {
    expect(leaves(minus(full, { vn: VnId(5), mac: a, ip: ip1 }) ?? [])[0]).toEqual({
      vn: 5,
      mac: a,
      ips: [ip2],
    });
  });

  test("a VN whose last MAC goes is gone: VDP could not say it", () => {
    expect(minus(tree(5, a), { vn: VnId(5), mac: a })).toEqual([]);
  });

  test("what is not there cannot be removed", () => {
    expect(minus(full, { vn: VnId(7) })).toBeUndefined();
    expect(minus(full, { vn: VnId(6), mac: a })).toBeUndefined();
    expect(minus(full, { vn: VnId(5), mac: b, ip: ip1 })).toBeUndefined();
  });

  test("undoes plus for any two unlike leaves", () => {
    const leaf = fc.record({ vn: fc.integer({ min: 1, max: 3 }), last: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(
        fc.uniqueArray(leaf, { minLength: 1, selector: (l) => `${l.vn} ${l.last}` }),
        (all) => {
          const made = all
            .map(({ vn, last }) => tree(vn, Mac(`02:00:00:00:00:0${last}`)))
            .reduce(plus, []);
          const rest = all.reduce<Tree | undefined>(
            (left, { vn, last }) =>
              left && minus(left, { vn: VnId(vn), mac: Mac(`02:00:00:00:00:0${last}`) }),
            made,
          );
          expect(rest).toEqual([]);
        },
      ),
    );
  });
});

describe("faultOf", () => {
  const macOf = (i: number): Mac => Mac(`02:00:00:00:00:${i.toString(16).padStart(2, "0")}`);
  const vns = (n: number): Tree =>
    Array.from({ length: n }, (_, i) => tree(5 + i, macOf(i))).flat();

  test("finds nothing wrong with 40 VNs, and 200 MACs of one (H12)", () => {
    expect(faultOf(vns(40))).toBeUndefined();
    const macs = Array.from({ length: 200 }, (_, i) => tree(5, macOf(i))).reduce(plus, []);
    expect(faultOf(macs)).toBeUndefined();
  });

  test("says that 41 VNs are too many for one message", () => {
    expect(faultOf(vns(41))).toMatch(/41 VNs .* holds 40/);
  });

  test("says that 16,385 addresses are too many for a VNIC", () => {
    const ips = Array.from({ length: 16_384 }, (_, i) => IpAddress(`10.0.${i >> 8}.${i & 255}`));
    const [node] = tree(5, macOf(1));
    const of = (some: readonly IpAddress[]): Tree =>
      node === undefined ? [] : [{ ...node, macs: [{ mac: macOf(1), ips: some }] }];
    expect(faultOf(of(ips.slice(1)))).toBeUndefined();
    expect(faultOf(of(ips))).toMatch(/16385 MAC and IP addresses/);
  });

  test("says that a VNIC needs a VN", () => {
    expect(faultOf([])).toMatch(/at least one VN/);
  });

  test("says that one MAC in two VNs needs two VNICs", () => {
    expect(faultOf(plus(tree(5, a), tree(6, a)))).toMatch(/two VNs \(5 and 6\)/);
  });

  test.each(["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00"])(
    "%s is no address of a VM",
    (mac) => {
      expect(faultOf(tree(5, Mac(mac)))).toMatch(/is no address/);
    },
  );
});

describe("H4: VN Names", () => {
  const name = Uuid("cccccccc-0000-4000-8000-000000005001");
  const byName = (mac: Mac, ...ips: IpAddress[]): Tree => [{ vn: name, macs: [{ mac, ips }] }];

  test("give way to the VN ID, and are one with what is there by VN ID", () => {
    const both = plus(tree(5, a), byName(b, ip1));
    expect(unresolved(both)).toEqual([name]);
    const after = resolved(both, new Map([[name, VnId(5)]]));
    expect(after).toEqual([
      {
        vn: 5,
        name,
        macs: [
          { mac: a, ips: [] },
          { mac: b, ips: [ip1] },
        ],
      },
    ]);
    expect(unresolved(after)).toEqual([]);
    expect(resolved(after, new Map()), "the same one").toBe(after);
  });

  test("still name the VN when its VN ID is known", () => {
    const known = resolved(byName(a), new Map([[name, VnId(5)]]));
    expect(plus(known, byName(a, ip1))).toEqual([{ vn: 5, name, macs: [{ mac: a, ips: [ip1] }] }]);
    expect(minus(known, { vn: name })).toEqual([]);
    expect(minus(plus(known, byName(b)), { vn: VnId(5), mac: a })).toEqual([
      { vn: 5, name, macs: [{ mac: b, ips: [] }] },
    ]);
  });
});
