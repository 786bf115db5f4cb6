import { IpAddress, Mac, NveId, VnId } from "@nve/protocol-spec";
import { Fdb, type RemoteChange } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const vn = VnId(5001);
const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");
const tor2 = { nve: NveId("tor2"), vtep: IpAddress("192.0.2.2") };
const tor3 = { nve: NveId("tor3"), vtep: IpAddress("192.0.2.3") };
const empty = { vn, mappings: [], withdrawn: [], members: [], membersLeft: [] };
const at = (mac: Mac, where = tor2) => ({ mac, ips: [], ...where });

function watching(...changes: Partial<RemoteChange>[]): Fdb {
  const fdb = new Fdb();
  fdb.watch(vn);
  for (const change of changes) fdb.apply({ ...empty, ...change });
  return fdb;
}

test("P4: what is said of a VN that is not watched is not kept", () => {
  const fdb = new Fdb();
  fdb.apply({ ...empty, mappings: [at(a)], members: [tor2] });
  fdb.watch(vn);
  expect([...fdb.remotes(vn)]).toEqual([]);
  fdb.apply({ ...empty, mappings: [at(a)] });
  fdb.unwatch(vn);
  fdb.watch(vn);
  expect([...fdb.remotes(vn)]).toEqual([]);
});

test("A17: mappings and members come, move and go", () => {
  const fdb = watching({ mappings: [at(a), at(b)], members: [tor2] }, { mappings: [at(a, tor3)] });
  expect(fdb.remotes(vn).get(a)).toEqual(at(a, tor3));
  fdb.apply({ ...empty, withdrawn: [b], members: [tor3], membersLeft: [tor2.nve] });
  expect([...fdb.remotes(vn).keys()]).toEqual([a]);
  expect([...fdb.members(vn).values()]).toEqual([tor3]);
});

test("A17: a snapshot marks what is known, and sweeps what it does not name", () => {
  const fdb = watching({ mappings: [at(a), at(b)], members: [tor2, tor3] });
  expect(fdb.complete(vn)).toBe(false);
  fdb.beginSnapshot(vn);
  expect(fdb.remotes(vn).size, "all serves meanwhile").toBe(2);
  fdb.apply({ ...empty, mappings: [at(b)], members: [tor3] });
  fdb.endSnapshot(vn);
  expect([...fdb.remotes(vn).keys()]).toEqual([b]);
  expect([...fdb.members(vn).keys()]).toEqual(["tor3"]);
  expect(fdb.complete(vn)).toBe(true);
});

test("A17: a snapshot that breaks off takes nothing away, and the next one begins anew", () => {
  const fdb = watching({ mappings: [at(a), at(b)] });
  fdb.beginSnapshot(vn);
  fdb.apply({ ...empty, mappings: [at(a)] });
  fdb.beginSnapshot(vn);
  fdb.apply({ ...empty, mappings: [at(b)] });
  fdb.endSnapshot(vn);
  expect([...fdb.remotes(vn).keys()]).toEqual([b]);
});

test("what is told once more, and of ourselves, is no change; all else is", () => {
  const fdb = watching({ mappings: [at(a)], members: [tor2] });
  const changes = (change: Partial<RemoteChange>) => fdb.apply({ ...empty, ...change });
  expect(changes({ mappings: [at(a)], members: [tor2] })).toBe(false);
  expect(changes({ withdrawn: [b], membersLeft: [tor3.nve] })).toBe(false);
  expect(changes({ mappings: [{ ...at(a), ips: [IpAddress("10.0.0.1")] }] })).toBe(true);
  expect(changes({ mappings: [at(a, tor3)] })).toBe(true);
  expect(changes({ members: [{ ...tor2, vtep: tor3.vtep }] })).toBe(true);
  expect(changes({ withdrawn: [a] })).toBe(true);
  expect(changes({ membersLeft: [tor2.nve] })).toBe(true);
  expect(changes({ mappings: [at(a)], withdrawn: [b] })).toBe(true);
});
