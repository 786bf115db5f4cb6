import { createLog } from "@nve/program/log";
import { Instant, Mac, type Neighbour, NveId } from "@nve/protocol-spec";
import { PortLog } from "@nve/switch-agent/port/port-log";
import { expect, test } from "vitest";

const octets = (text: string) => new TextEncoder().encode(text);
const neighbour = (chassis: string, port: string): Neighbour => ({
  lldpdu: {
    chassisId: { subtype: 7, octets: octets(chassis) },
    portId: { subtype: 5, octets: octets(port) },
    ttl: 120,
    tlvs: [],
  },
  source: Mac("52:54:00:00:00:01"),
  since: Instant(0),
  expires: Instant(120_000),
});

function portLog() {
  const lines: { level: number; msg: string; heard?: string }[] = [];
  const log = createLog("switch-agent", "info", { write: (line) => lines.push(JSON.parse(line)) });
  return { lines, log: new PortLog(log, { nve: NveId("tor1"), stations: 4 }) };
}

test("H3, V8: the operator is told when two ports of the switch are in one access network", () => {
  const { lines, log } = portLog();
  log.neighbour("new", neighbour("tor1", "swp2"), () => []);
  const warnings = lines.filter(({ level }) => level === 40);
  expect(warnings).toMatchObject([{ heard: "swp2" }]);
  expect(warnings[0]?.msg).toContain("two of its ports are in one access network");
});

test("another system is a neighbour and no more", () => {
  const { lines, log } = portLog();
  log.neighbour("new", neighbour("tor11", "swp2"), () => []);
  log.neighbour("gone", neighbour("tor1", "swp2"), () => []);
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [30, "neighbour new"],
    [30, "neighbour gone"],
  ]);
});
