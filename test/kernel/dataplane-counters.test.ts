import { Uuid } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mac, standard, vn } from "../contracts/dataplane-bench.ts";
import { testFrame } from "../contracts/wires.ts";
import { EbpfRig } from "./dataplane-rig.ts";

let rig: EbpfRig;
let dataplane: Dataplane;
beforeAll(() => {
  rig = new EbpfRig("clsact", 4);
});
afterAll(async () => {
  await dataplane?.close();
  rig?.close();
});

const vnic = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");

test("counters of 3,000 VNs, of drops, VNICs, ports and peers, read in bulk, are those of the frames sent", async () => {
  dataplane = await rig.open();
  for (const port of ["p1", "p2", "p3"]) await dataplane.portUp(port);
  const others = Array.from({ length: 3000 }, (_, n) => vn(1000 + n, []));
  const at = { is: "local", port: "p1", vid: 10 as never } as const;
  await dataplane.ensure([...others, ...standard(rig), { ...mac(100, "0a", at), vnic }]);
  const send = (times: number, to: string, tags = "10") => {
    for (let n = 0; n < times; n++)
      rig.send("p1", testFrame({ from: "0a", to, tags, text: "hello" }));
  };
  send(5, "0c");
  send(3, "77");
  send(2, "0b", "99");
  send(4, "0b");
  await rig.seen();
  const { vns, drops, meters = [] } = await dataplane.counters();
  expect(vns).toHaveLength(3002);
  const busy = vns.filter(({ vni, ...counts }) => Object.values(counts).some((n) => n > 0));
  expect(busy).toEqual([
    { vni: 100, accessIn: 12, accessOut: 4, overlayIn: 0, overlayOut: 5, flooded: 0 },
  ]);
  expect(Object.entries(drops).filter(([, n]) => n > 0)).toEqual([
    ["no-such-tag", 2],
    ["unknown-mac", 3],
  ]);
  const octets = 12 * 56;
  expect(meters).toContainEqual(
    expect.objectContaining({ is: "vnic", vnic, in: 12, inOctets: octets, dropped: 3 }),
  );
  expect(meters).toContainEqual(
    expect.objectContaining({ is: "port", port: "p1", in: 12, inOctets: octets, dropped: 3 }),
  );
  expect(meters).toContainEqual(expect.objectContaining({ is: "peer", vtep: rig.a, out: 5 }));
});
