import {
  decode,
  defaultEvbPolicy,
  type Evb,
  type EvbAction,
  type EvbEvent,
  type EvbPolicy,
  type EvbRole,
  type EvbTlv,
  evbAgreed,
  evbOptionalTlv,
  evbStart,
  evbTlvFor,
  evbTlvOctets,
  readEvbTlv,
  stepEvb,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hex, octets } from "../../../support/octets.ts";
import { timeline } from "../../../support/timeline.ts";

const relaying: EvbPolicy = { ...defaultEvbPolicy, reflectiveRelay: true };
/** Octets 4 to 8, the ones that change. */
const shown = ({ local }: Evb): string => hex(evbTlvOctets(local).subarray(4));
const tlv = (changing: string): EvbTlv => decode(octets(`0080c20d ${changing}`), readEvbTlv);
const peer = (changing: string): EvbEvent => ({ on: "peer", tlv: tlv(changing) });
const evb = (role: EvbRole, policy: EvbPolicy) =>
  timeline<Evb, EvbEvent, EvbAction>(evbStart(role, policy), stepEvb);
const numbers = { r: 3, rte: 14, rwd: 20, rka: 20 };
const announce: EvbAction = { do: "announce" };
const agreed = (groupId: boolean): EvbAction => ({
  do: "agreed",
  agreed: { peer: true, groupId, ...numbers },
});
const alone: EvbAction = { do: "agreed", agreed: { peer: false, groupId: false, ...numbers } };

test("capture 01, rows 1 and 2: before anything is heard each side shows its policy", () => {
  expect(shown(evbStart("station", relaying))).toBe("000f6e9414");
  expect(shown(evbStart("bridge", relaying))).toBe("06006e5414");
});

test("capture 01, rows 3 and 5: the station copies the bridge, then sees the relay enabled", () => {
  const at = evb("station", relaying);
  expect(shown(at(0, peer("06006e5414"), announce, agreed(true)))).toBe("060c6eb434");
  expect(shown(at(1, peer("070c6e7434"), announce))).toBe("070d6eb434");
  at(2, peer("070c6e7434"), announce); // it has not heard that yet
  at(3, peer("070d6e7434"));
  at(4, peer("070d6e7434"));
});

test("capture 01, row 4: the bridge enables the relay that was asked for and copies the station", () => {
  const at = evb("bridge", relaying);
  expect(shown(at(0, peer("060c6eb434"), announce, agreed(true)))).toBe("070c6e7434");
  expect(shown(at(1, peer("070d6eb434"), announce))).toBe("070d6e7434");
});

test.each([
  ["station", "04006e5414", "04086e7434", "040b6e7434"],
  ["bridge", "00086e9414", "04086eb434", "06086eb434"],
] as const)(
  "lldpad restarted: a %s whose peer does not copy its status any more says it at once",
  (role, ignorant, aware, late) => {
    const at = evb(role, defaultEvbPolicy);
    at(0, peer(ignorant), announce, agreed(true));
    at(1, peer(aware));
    at(2, peer(ignorant), announce, { do: "anew" }); // whoever has said something to it says it again
    at(3, peer(ignorant), announce); // it has not heard that, or was started anew once more before it could
    at(4, peer(aware));
    at(5, peer(late), announce, { do: "anew" }); // it has heard what we said before, and is started anew before it hears the rest
    at(6, peer(ignorant), announce);
  },
);

test("a peer that has never shown our status hears us after each LLDPDU of its, also when it says the same", () => {
  const at = evb("bridge", defaultEvbPolicy);
  at(0, peer("000b6e9414"), announce, agreed(true));
  at(9000, peer("000b6e9414"), announce); // killed and started before it heard us: to LLDP it is the same
  at(9001, peer("040b6e9414"));
});

test("only an EVB TLV of the other role is a peer's", () => {
  const tlvs = (mode: 0 | 1 | 2 | 3) => [evbOptionalTlv({ ...tlv("04006e5414"), mode })];
  const modes = [0, 1, 2, 3] as const;
  expect(modes.filter((mode) => evbTlvFor("station", tlvs(mode)))).toEqual([1]);
  expect(modes.filter((mode) => evbTlvFor("bridge", tlvs(mode)))).toEqual([2]);
  expect(evbTlvFor("station", [])).toBeUndefined();
});

test("a bridge that cannot relay does not say that it does", () => {
  const at = evb("bridge", defaultEvbPolicy);
  expect(shown(at(0, peer("000f6e9414"), announce, agreed(true)))).toBe("040f6e7434");
});

test("a station that does not ask for the relay shows what the bridge does all the same", () => {
  const at = evb("station", defaultEvbPolicy);
  expect(shown(evbStart("station", defaultEvbPolicy))).toBe("000b6e9414");
  expect(shown(at(0, peer("07006e5414"), announce, agreed(true)))).toBe("07096eb434");
});

test("GroupIDs are in force when both sides can", () => {
  const without: EvbPolicy = { ...defaultEvbPolicy, groupId: false };
  evb("station", defaultEvbPolicy)(0, peer("02006e5414"), announce, agreed(false));
  evb("station", without)(0, peer("04006e5414"), announce, agreed(false));
  evb("bridge", defaultEvbPolicy)(0, peer("00076e9414"), announce, agreed(false));
  evb("bridge", without)(0, peer("000f6e9414"), announce, agreed(false));
  evb("bridge", defaultEvbPolicy)(0, peer("000b6e9414"), announce, agreed(true));
});

test("capture 02: of R, RTE, RWD and RKA the larger is sent and in force", () => {
  const at = evb("station", { ...relaying, r: 2, rte: 15 });
  const next = at(
    0,
    { on: "peer", tlv: { ...tlv("06006e5414"), r: 4, rte: 10, rwd: 21, rka: 22 } },
    announce,
    { do: "agreed", agreed: { peer: true, groupId: true, r: 4, rte: 15, rwd: 21, rka: 22 } },
  );
  expect(next.local).toMatchObject({ r: 4, rte: 15, rwd: 21, rka: 22 });
});

test("ROL is set when the other side's value is not below ours, and never acted on", () => {
  const [next] = stepEvb(evbStart("station", relaying), {
    on: "peer",
    tlv: { ...tlv("06006e5414"), rwd: 19, rka: 21, rolRwd: true, rolRka: true },
  });
  expect(next.local).toMatchObject({ rwd: 20, rolRwd: false, rka: 21, rolRka: true });
  expect(evbAgreed(next)).toMatchObject({ rwd: 20, rka: 21 });
});

test("capture 03: without the peer the station is back at row 1, with its own numbers", () => {
  const at = evb("station", relaying);
  at(0, { on: "peer-gone" });
  at(1, peer("06006e5414"), announce, agreed(true));
  expect(shown(at(2, { on: "peer-gone" }, announce, alone))).toBe("000f6e9414");
  at(3, { on: "peer-gone" });
});

test("a station and a bridge that hear each other fall silent, and agree", () => {
  const number = fc.nat({ max: 27 });
  const policy = fc.record({
    groupId: fc.boolean(),
    reflectiveRelay: fc.boolean(),
    r: fc.nat({ max: 7 }),
    rte: number,
    rwd: number,
    rka: number,
  });
  fc.assert(
    fc.property(policy, policy, (ours, theirs) => {
      let station = evbStart("station", ours);
      let bridge = evbStart("bridge", theirs);
      for (let rounds = 0; rounds < 4; rounds++) {
        [bridge] = stepEvb(bridge, { on: "peer", tlv: station.local });
        [station] = stepEvb(station, { on: "peer", tlv: bridge.local });
      }
      const [, ...more] = stepEvb(bridge, { on: "peer", tlv: station.local });
      expect(more).toEqual([]);
      expect(evbAgreed(station)).toEqual(evbAgreed(bridge));
      expect(evbAgreed(station)).toEqual({
        peer: true,
        groupId: ours.groupId && theirs.groupId,
        r: Math.max(ours.r, theirs.r),
        rte: Math.max(ours.rte, theirs.rte),
        rwd: Math.max(ours.rwd, theirs.rwd),
        rka: Math.max(ours.rka, theirs.rka),
      });
      const relay = ours.reflectiveRelay && theirs.reflectiveRelay;
      expect(bridge.local.bridge.reflectiveRelay).toBe(relay);
      expect(station.local.station.reflectiveRelay).toBe(relay ? 1 : 0);
    }),
  );
});
