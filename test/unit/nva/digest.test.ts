import { Digests, type VnDigest } from "@nve/nva/authority/digest";
import { toLocation, toMapping } from "@nve/nva/server/convert";
import { newDigests } from "@nve/nva/server/digest";
import { digestOf, IpAddress, Ledger, mappingOctets, memberOctets, VnId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blue, claim, mac, red, world } from "./world.ts";

/** Of everything there is, from the beginning. */
function whole(all: ReturnType<typeof world>["all"], vnId: VnId): VnDigest {
  const [macs, members] = [new Ledger(), new Ledger()];
  const vn = all.vn(vnId);
  for (const one of vn?.macs() ?? []) {
    const mapping = vn?.mapping(one);
    if (mapping !== undefined) macs.put(one, mappingOctets(toMapping(mapping)));
  }
  for (const nveId of vn?.members ?? []) {
    const row = all.nve(nveId)?.row;
    if (row !== undefined) members.put(nveId, memberOctets(vnId, toLocation(row.location)));
  }
  macs.settle();
  members.settle();
  return {
    mappings: macs.size,
    digest: macs.digest,
    members: members.size,
    membersDigest: members.digest,
  };
}

function fully(digests: Digests, all: ReturnType<typeof world>["all"], vnId: VnId, most: number) {
  let digest = digests.advance(all, vnId, most);
  for (; digest === "later"; digest = digests.advance(all, vnId, most));
  return digest;
}

test("whatever changes, and whenever it is asked: the digest is that of all there is", () => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant("claim" as const),
      nve: fc.nat(2),
      n: fc.nat(9),
      ip: fc.nat(3),
      sticky: fc.boolean(),
      anycast: fc.boolean(),
    }),
    fc.record({ do: fc.constant("withdraw" as const), nve: fc.nat(2), n: fc.nat(9) }),
    fc.record({ do: fc.constant("join" as const), nve: fc.nat(2) }),
    fc.record({ do: fc.constant("leave" as const), nve: fc.nat(2) }),
    fc.record({
      do: fc.constant("move" as const),
      nve: fc.nat(2),
      to: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({ do: fc.constant("ask" as const), most: fc.integer({ min: 1, max: 4 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const nva = world();
      const digests = newDigests();
      const at = (nve: number, to = nve + 1) => nva.connect(`tor${nve}`, `10.0.0.${to}`);
      const sessions = [0, 1, 2].map((nve) => at(nve));
      const tell = (nve: number, said: Parameters<typeof nva.tell>[1]): void => {
        const session = sessions[nve];
        if (session !== undefined) digests.touched(nva.tell(session, said).touched);
      };
      for (const one of steps) {
        if (one.do === "claim") {
          const { sticky, anycast } = one;
          const ips = [IpAddress(`10.1.0.${one.ip}`)];
          tell(one.nve, { claims: [claim(one.n, { ips, sticky, anycast })] });
        } else if (one.do === "withdraw")
          tell(one.nve, { withdrawn: [{ vnId: blue, mac: mac(one.n) }] });
        else if (one.do === "join") tell(one.nve, { joined: [blue] });
        else if (one.do === "leave") tell(one.nve, { left: [blue] });
        else if (one.do === "ask") digests.advance(nva.all, blue, one.most);
        else {
          const location = {
            nveId: `tor${one.nve}`,
            vteps: [IpAddress(`10.0.1.${one.to}`)],
            encapsulations: ["vxlan"],
          };
          const step = nva.all.connectNve(
            location as never,
            "00000000-0000-4000-8000-000000000009" as never,
            0 as never,
          );
          nva.keep(step);
          digests.touched(step.touched);
          if ("generation" in step.result) sessions[one.nve] = step.result;
        }
      }
      expect(fully(digests, nva.all, blue, 3)).toEqual(whole(nva.all, blue));
    }),
  );
});

test("a VN with nothing in it comes to 0, and one that is none to nothing", () => {
  const digests = newDigests();
  expect(fully(digests, world().all, red, 10)).toEqual({
    mappings: 0,
    digest: 0n,
    members: 0,
    membersDigest: 0n,
  });
  expect(fully(digests, world().all, VnId(99), 10)).toBeUndefined();
});

test("a VN that nobody asks about any more costs no memory for ever", () => {
  const digests = new Digests({
    mapping: () => new Uint8Array(1),
    member: () => new Uint8Array(1),
  });
  const nva = world();
  expect(fully(digests, nva.all, blue, 10)).toBeDefined();
  for (let n = 0; n < 70_000; n += 1000) {
    const macs = new Set(Array.from({ length: 1000 }, (_, at) => `${n + at}` as never));
    digests.touched(new Map([[blue, { vn: false, macs, members: new Set() }]]));
  }
  // Begun anew: there is nothing, so nothing is left to do.
  expect(digests.advance(nva.all, blue, 1)).not.toBe("later");
});

test("octets are as written down, in whatever order they come (protocol-spec/README.md)", () => {
  const octets = mappingOctets({
    vnId: 10_001,
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    ips: [Uint8Array.of(10, 0, 0, 9), Uint8Array.of(10, 0, 0, 1)],
    prefixes: [{ ip: Uint8Array.of(10, 1, 0, 0), length: 16 }],
    locations: [
      { nveId: "tor2", vteps: [Uint8Array.of(192, 0, 2, 2)] },
      { nveId: "tor1", vteps: [Uint8Array.of(192, 0, 2, 1)] },
    ],
  });
  const hex = Buffer.from(octets).toString("hex");
  expect(hex).toBe(
    [
      "01" + "00002711" + "020000000001",
      "0002" + "04746f723101" + "04c0000201" + "04746f723201" + "04c0000202",
      "00000003" + "040a00000120" + "040a00000920" + "040a01000010",
    ].join(""),
  );
  expect(digestOf(octets).toString(16)).toBe("8938192d0c5a10c7");
  const member = memberOctets(10_001, { nveId: "tor1", vteps: [Uint8Array.of(192, 0, 2, 1)] });
  expect(Buffer.from(member).toString("hex")).toBe("0200002711" + "04746f723101" + "04c0000201");
});
