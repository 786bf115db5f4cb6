import { Mac, Uuid, VnId } from "@nve/protocol-spec";
import { Reports } from "@nve/switch-agent/local/reports";
import { Arrivals } from "@nve/switch-agent/nva-client/arrivals";
import type { LocalClaim, Report } from "@nve/switch-agent/nve";
import { beforeEach, expect, test } from "vitest";

const vn = VnId(5);
const vnic = Uuid("00000000-0000-4000-8000-000000000001");
const octets = Buffer.from(vnic.replaceAll("-", ""), "hex");
const nothing: Report = { claims: [], withdrawn: [], joined: [], left: [] };
const claim = (n: number): LocalClaim => ({
  ...{ vn, mac: Mac(`02:00:00:00:00:0${n}`), ips: [], vnic, hypervisor: "server1" },
  ...{ port: "swp1", suspended: false },
});
let sent: Report[];
let reports: Reports;
beforeEach(() => {
  sent = [];
  reports = new Reports((report) => sent.push(report));
});

test("M2: what waits for the dataplane is told when it is there, in order, and together", () => {
  const first = reports.hold();
  reports.add({ ...nothing, claims: [claim(1)], joined: [vn] });
  const second = reports.hold();
  reports.add({ ...nothing, claims: [claim(2)] });
  second();
  expect(sent).toEqual([]);
  first();
  expect(sent).toEqual([{ ...nothing, claims: [claim(1), claim(2)], joined: [vn] }]);
  reports.add({ ...nothing, left: [vn] });
  expect(sent[1]).toEqual({ ...nothing, left: [vn] });
});

test("what was taken back before it was made is never told", () => {
  const made = reports.hold();
  reports.add({ ...nothing, claims: [claim(1)], unprepared: [vnic] });
  reports.hold()();
  const { mac } = claim(1);
  const prepared = { vnic, hypervisor: "server1", port: "swp1", migrating: true, addresses: [] };
  reports.add({ ...nothing, withdrawn: [{ vn, mac }], prepared: [prepared] });
  made();
  expect(sent).toEqual([{ ...nothing, withdrawn: [{ vn, mac }], prepared: [prepared] }]);
});

test("a new session is told all there is: what waits is not told again", () => {
  const made = reports.hold();
  reports.add({ ...nothing, claims: [claim(1)] });
  reports.clear();
  made();
  expect(sent).toEqual([]);
});

test("M5: who waits for an arrival waits until it is said, or the session is over", async () => {
  const arrivals = new Arrivals();
  await arrivals.awaited([vnic]);
  arrivals.moving([octets]);
  let is = "on its way";
  const here = arrivals.awaited([vnic]).then(() => {
    is = "here";
  });
  await Promise.resolve();
  expect(is).toBe("on its way");
  arrivals.arrived([octets]);
  await here;
  arrivals.moving([octets]);
  const over = arrivals.awaited([vnic]);
  arrivals.close();
  await over;
});
