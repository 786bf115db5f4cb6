import {
  decode,
  EtherType,
  type Filters,
  macFrom,
  readEcpdu,
  readFrame,
  VdpError,
  type Vid,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { capture } from "../../support/pcap.ts";
import type { Station } from "./station.ts";
import { pass, tor } from "./tor.ts";

const stationMac = "52:54:00:aa:00:01";

type Said = { octets: Uint8Array; asks: boolean };

/** The LLDPDUs of the station (lldpad), and the frames in which it asks something. */
function said(name: string): Said[] {
  return capture(name)
    .filter(({ octets }) => macFrom(octets.subarray(6, 12)) === stationMac)
    .flatMap(({ octets }): Said[] => {
      const { etherType, payload } = decode(octets, readFrame);
      if (etherType === EtherType.lldp) return [{ octets, asks: false }];
      const asks = etherType === EtherType.ecp && decode(payload, readEcpdu).op === "request";
      return asks ? [{ octets, asks }] : [];
    });
}

async function replay(name: string): Promise<{ station: Station; stop: () => Promise<void> }> {
  const it = tor();
  it.nva.connect();
  const [station] = it.stations;
  const frames = said(name);
  for (const { octets, asks } of frames) {
    const before = station.heard.length;
    station.raw(octets);
    await pass(it.clock, 30);
    if (asks && station.heard.length === before) break;
  }
  return { station, stop: () => it.agent.close() };
}

const vidsOf = ({ entries }: Filters): (Vid | undefined)[] => entries.map(({ vid }) => vid);

test.each([
  ["22-vdp-fmt3-null-vid.pcap", "group-vid", [2]],
  ["23-vdp-fmt4-null-vid.pcap", "group-mac-vid", [2, 2]],
])(
  "H1: lldpad's request in %s is answered with a lent tag for each entry",
  async (name, by, tags) => {
    const { station, stop } = await replay(name);
    const [first] = station.answers;
    expect(first?.status).toEqual({ is: "response", keep: false, hard: false, code: 0 });
    expect(first?.filters.by).toBe(by);
    expect(first && vidsOf(first.filters)).toEqual(tags);
    await stop();
  },
);

test.each(["12-vdp-fmt3-group-vid.pcap", "13-vdp-fmt4-group-mac-vid.pcap"])(
  "V8: the tag that lldpad names in %s is lent if it is free, and all its requests are granted",
  async (name) => {
    const { station, stop } = await replay(name);
    expect(station.answers.map(({ type }) => type)).toEqual([
      "pre-associate",
      "pre-associate-rr",
      "associate",
      "de-associate",
    ]);
    expect(station.answers.map(({ status }) => status.code)).toEqual([0, 0, 0, 0]);
    await stop();
  },
);

test.each([
  "10-vdp-fmt1-vid.pcap",
  "11-vdp-fmt2-mac-vid.pcap",
  "20-vdp-fmt1-null-vid.pcap",
  "21-vdp-fmt2-null-vid.pcap",
])("V8: %s names no GroupID and no lent tag: refused", async (name) => {
  const { station, stop } = await replay(name);
  expect(station.answers[0]?.status).toMatchObject({ code: VdpError.invalidVidGroupOrMac });
  await stop();
});

test("H11: lldpad's own TLV with an IPv4 address is understood", async () => {
  const it = tor();
  it.nva.connect();
  for (const { octets } of said("50-cisco-org-tlv.pcap").slice(0, 8)) {
    it.stations[0].raw(octets);
    await pass(it.clock, 30);
  }
  const ips = it.nva.reports.flatMap(({ claims }) => claims.flatMap(({ ips }) => [...ips]));
  expect(ips.length).toBeGreaterThan(0);
  await it.agent.close();
});
