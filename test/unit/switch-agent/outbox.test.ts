import { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import { Outbox } from "@nve/switch-agent/nva-client/outbox";
import type { LocalClaim, Report } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const vn = VnId(5001);
const macs = [1, 2, 3, 4, 5].map((n) => Mac(`02:00:00:00:00:0${n}`));
const nothing: Report = { claims: [], withdrawn: [], joined: [], left: [] };
const claim = (mac: Mac, port = "swp1"): LocalClaim => ({
  vn,
  mac,
  ips: [],
  vnic: Uuid("00000000-0000-4000-8000-000000000001"),
  hypervisor: "server1",
  port,
  suspended: false,
});
const all = (...claims: LocalClaim[]) => new Outbox({ ...nothing, claims, joined: [vn] });
const [one, two, three] = macs as [Mac, Mac, Mac];

test("H18: the last report of what there is says that it is complete, and no later one does", () => {
  const outbox = all(...macs.map((mac) => claim(mac)));
  const parcels = [outbox.take(2), outbox.take(2), outbox.take(2)];
  expect(parcels.map((parcel) => parcel?.claims.length)).toEqual([2, 2, 1]);
  expect(parcels.map((parcel) => parcel?.complete)).toEqual([false, false, true]);
  expect(parcels[0]?.joined).toEqual([vn]);
  expect(outbox.take(2)).toBeUndefined();
  outbox.add({ ...nothing, withdrawn: [{ vn, mac: one }] });
  expect(outbox.take(2)).toEqual({ ...nothing, withdrawn: [{ vn, mac: one }], complete: false });
});

test("H8: a report takes no more MACs once it has many IPs, and always one", () => {
  const ips = Array.from({ length: 1000 }, (_, i) => IpPrefix(`10.${i >> 8}.${i & 255}.0/24`));
  const outbox = all(...macs.map((mac) => ({ ...claim(mac), ips })));
  const sizes = [2000, 2001, 1].map((max) => outbox.take(10, max)?.claims.length);
  expect(sizes).toEqual([2, 3, undefined]);
  expect(outbox.empty).toBe(true);
  const again = all(...macs.map((mac) => ({ ...claim(mac), ips })));
  expect([1, 1].map((max) => again.take(10, max)?.claims.length)).toEqual([1, 1]);
});

test("H18: who serves nothing says so", () => {
  const outbox = new Outbox(nothing);
  expect(outbox.empty).toBe(false);
  expect(outbox.take(10)).toEqual({ ...nothing, complete: true });
  expect(outbox.empty).toBe(true);
});

test("V10: changes of one address that wait replace each other", () => {
  const outbox = all();
  outbox.take(10);
  for (let i = 0; i < 100; i++) {
    outbox.add({ ...nothing, claims: [claim(two, `swp${i}`)] });
    outbox.add({ ...nothing, withdrawn: [{ vn, mac: three }], left: [vn] });
    outbox.add({ ...nothing, claims: [claim(three)], joined: [vn] });
  }
  const parcel = outbox.take(10);
  expect(parcel?.claims).toEqual([claim(two, "swp99"), claim(three)]);
  expect([parcel?.withdrawn, parcel?.joined, parcel?.left]).toEqual([[], [vn], []]);
  expect(outbox.empty).toBe(true);
});

test("H18: while there may be more nothing says that it is complete, and then once", () => {
  const outbox = new Outbox({ ...nothing, claims: [claim(one)], partial: true });
  expect(outbox.take(9)?.complete).toBe(false);
  expect([outbox.empty, outbox.take(9)]).toEqual([true, undefined]);
  outbox.add({ ...nothing, claims: [claim(two)] });
  expect(outbox.take(9)?.complete).toBe(false);
  outbox.whole();
  expect(outbox.empty).toBe(false);
  expect(outbox.take(9)).toEqual({ ...nothing, complete: true });
  expect(outbox.take(9)).toBeUndefined();
});

test("H23: what is prepared, or no more, is said after all claims: what has become active was not given up", () => {
  const vnic = Uuid("00000000-0000-4000-8000-000000000001");
  const prepared = { vnic, hypervisor: "server1", port: "swp1", migrating: true, addresses: [] };
  const outbox = all();
  outbox.add({ ...nothing, prepared: [prepared] });
  expect(outbox.take(2)).toMatchObject({ complete: true, prepared: [prepared] });
  outbox.add({ ...nothing, claims: macs.map((mac) => claim(mac)), unprepared: [vnic] });
  const parcels = [outbox.take(3), outbox.take(3)];
  expect(parcels.map((parcel) => parcel?.unprepared)).toEqual([undefined, [vnic]]);
  expect(outbox.empty).toBe(true);
});
