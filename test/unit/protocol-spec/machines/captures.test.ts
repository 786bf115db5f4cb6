import {
  type Association,
  type AssociationType,
  type BridgeEvent,
  type BridgeVsi,
  bridgeStart,
  decode,
  EtherType,
  type Filters,
  Instant,
  readEcpdu,
  readFrame,
  readVdpdu,
  type Station,
  type StationEvent,
  stationStart,
  stepBridge,
  stepStation,
  vdpduOctets,
  vdpTimes,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { hex } from "../../../support/octets.ts";
import { capture } from "../../../support/pcap.ts";

/** R=3 RTE=14 RWD=20 RKA=20 in all of them. */
const times = vdpTimes({ r: 3, rte: 14, rwd: 20, rka: 20 });
const files = [
  "10-vdp-fmt1-vid",
  "11-vdp-fmt2-mac-vid",
  "12-vdp-fmt3-group-vid",
  "13-vdp-fmt4-group-mac-vid",
  "20-vdp-fmt1-null-vid",
  "21-vdp-fmt2-null-vid",
  "22-vdp-fmt3-null-vid",
  "23-vdp-fmt4-null-vid",
];

type Seen = {
  ms: number;
  ulpdu: string;
  manager: Uint8Array;
  type: AssociationType;
  association: Association;
};

/** VDP requests and responses of a capture; each ULPDU has one association TLV. */
function exchanged(file: string): Seen[] {
  const frames = capture(`${file}.pcap`);
  const start = frames[0]?.timeNs ?? 0n;
  return frames.flatMap(({ timeNs, octets }): Seen[] => {
    const { etherType, payload } = decode(octets, readFrame);
    if (etherType !== EtherType.ecp) return [];
    const ecpdu = decode(payload, readEcpdu);
    if (ecpdu.op === "ack") return [];
    const { manager, tlvs } = decode(ecpdu.ulpdu, readVdpdu);
    const ms = Number(timeNs - start) / 1e6;
    const ulpdu = hex(ecpdu.ulpdu);
    return tlvs.flatMap((tlv) =>
      tlv.is === "association" ? [{ ...tlv, manager, ms, ulpdu }] : [],
    );
  });
}

const ulpdu = (manager: Uint8Array, type: AssociationType, association: Association): string =>
  hex(vdpduOctets({ manager, tlvs: [{ is: "association", type, association }] }));

describe.each(files)("capture %s", (file) => {
  const seen = exchanged(file);

  test("our station says what lldpad says when it wants what lldpad wanted first", () => {
    const wanted = seen[0]?.association;
    let station: Station = stationStart;
    let said = 0;
    for (const { ms, manager, type, association, ulpdu: captured } of seen) {
      const now = Instant(ms);
      const feed = (event: StationEvent) => {
        const [next, ...actions] = stepStation(station, event, now, times);
        station = next;
        for (const action of actions) {
          if (action.do !== "send") continue;
          expect(ulpdu(manager, action.type, action.association)).toBe(captured);
          said += 1;
        }
      };
      if (association.status.is === "response") {
        feed({ on: "response", type, association });
        const ended = type === "de-associate";
        expect(station.is).toBe(ended ? "end" : "up");
      } else if (type === "de-associate") {
        feed({ on: "drop" });
      } else if (station.is === "up" && station.granted.type === type) {
        expect(Math.abs(ms - station.deadline)).toBeLessThan(10); // lldpad's keepalive
        station = { ...station, deadline: now };
        feed({ on: "tick" });
      } else if (wanted !== undefined) {
        feed({ on: "want", request: { type, association: wanted } });
      }
    }
    expect(said).toBe(seen.length / 2);
  });

  test("our bridge answers what the bridge of the capture has answered", () => {
    const granted = seen.find(({ association }) => association.status.is === "response");
    let vsi: BridgeVsi = bridgeStart;
    const answers: string[] = [];
    function feed(event: BridgeEvent, heard: Seen): void {
      const [next, ...actions] = stepBridge(vsi, event, Instant(heard.ms), times);
      vsi = next;
      for (const action of actions) {
        if (action.do === "respond") {
          answers.push(ulpdu(heard.manager, action.type, action.association));
        }
        if (action.do !== "decide") continue;
        const filters: Filters = granted?.association.filters ?? action.request.association.filters;
        const association = { ...action.request.association, filters };
        feed({ on: "grant", association }, heard);
      }
    }
    for (const heard of seen) {
      const { type, association } = heard;
      if (association.status.is === "response") continue;
      if (type === "de-associate") feed({ on: "de-associate", association }, heard);
      else feed({ on: "request", request: { type, association } }, heard);
    }
    const captured = seen.filter(({ association }) => association.status.is === "response");
    expect(answers).toEqual(captured.map(({ ulpdu }) => ulpdu));
    expect(vsi).toEqual(bridgeStart);
  });
});
