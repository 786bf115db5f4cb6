import { IpAddress, Mac } from "@nve/protocol-spec";
import { decide } from "@nve/switch-agent/dataplane/userspace/decide";
import { Tables } from "@nve/switch-agent/dataplane/userspace/tables";
import type { Intent } from "@nve/switch-agent/nve";
import fc from "fast-check";
import { test } from "vitest";
import { intentsOf } from "../../kernel/dataplane-cases.ts";

const vtep = IpAddress("192.0.2.1");
const a = IpAddress("192.0.2.2");
const b = IpAddress("192.0.2.3");
const mac = Mac("02:ee:00:00:00:01");
const world = intentsOf({
  a: { is: "remote", vtep: a },
  b: { is: "remote", vtep: b, encapsulation: "nvgre" },
});
const octets = fc.oneof(
  fc.uint8Array({ maxLength: 120 }),
  fc
    .tuple(
      fc.constantFrom([0x81, 0], [0x81, 0, 0xff, 0xff], [0x88, 0xa8], [8, 0], [0x86, 0xdd], [8, 6]),
      fc.uint8Array({ maxLength: 90 }),
    )
    .map(([type, rest]) => Uint8Array.of(2, 0, 0, 0, 0, 10, 2, 0, 0, 0, 0, 11, ...type, ...rest)),
);

function tables(intents: readonly Intent[]): Tables {
  const t = new Tables(vtep, 4789, ["nvgre", "mpls-over-gre"]);
  t.mtu = 1450;
  for (const port of ["p1", "p2", "p3"]) t.portsThere.add(port);
  for (const to of [a, b]) t.hops.set(to, { link: 9, mtu: 1500, destination: mac, source: mac });
  for (const intent of intents) t.put(intent);
  return t;
}

test("of any octets at all something is decided, from a port and from the underlay", () => {
  fc.assert(
    fc.property(world, fc.array(octets, { maxLength: 30 }), (intents, frames) => {
      const t = tables(intents);
      for (const [i, frame] of frames.entries()) {
        decide(t, { port: `p${(i % 3) + 1}` }, frame, i);
        decide(t, { underlay: mac }, frame, i);
      }
    }),
    { numRuns: 60 },
  );
});
