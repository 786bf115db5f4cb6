const numbers = [
  ["p50", (row) => row.p50Ms],
  ["p99", (row) => row.p99Ms],
];

/** For people: a row for each case, the baseline first, and by how much each other one differs from it. */
export function table({ machine, links, rack }) {
  const sections = [`${machine}\n`];
  if (links.length > 0)
    sections.push(
      grid(
        linkHead,
        links.map((row) => linkRow(row, links)),
      ),
    );
  if (rack.length > 0) sections.push(grid(rackHead, rack.map(rackRow)));
  return `${sections.join("\n")}\n`;
}

const linkHead = [
  "station",
  "bridge",
  "VSIs",
  "answered",
  "per s",
  "p50 ms",
  "p99 ms",
  "one more: p50",
  "p99",
  "times the baseline's rate",
  "of its p50",
  "CPU µs per VSI",
  "again: per s",
  "p50 ms",
  "p99 ms",
  "note",
];

function linkRow(row, all) {
  const { station, bridge, vsis, burst, single, note = "" } = row;
  const base = all.find((other) => other.vsis === vsis && other.name === BASELINE);
  const same = base === row || base === undefined;
  return [
    station,
    bridge,
    vsis,
    burst.answered,
    burst.perSecond,
    burst.p50Ms,
    burst.p99Ms,
    ...numbers.map(([, of]) => of(single)),
    same ? "1 (baseline)" : ratio(burst.perSecond, base.burst.perSecond),
    same ? "1 (baseline)" : ratio(single.p50Ms, base.single.p50Ms),
    burst.cpuUsPerVsi,
    row.warm?.perSecond,
    row.warm?.p50Ms,
    row.warm?.p99Ms,
    note,
  ];
}

/** lldpad on both sides: the bridge that a standard station had before. */
export const BASELINE = "lldpad-lldpad";

const rackHead = ["rack", "ports", "VSIs", "all after ms", "p50 ms", "p99 ms", "CPU µs per VSI"];

const rackRow = ({ what, ports, vsis, ms, p50Ms, p99Ms, cpuUsPerVsi }) => [
  what,
  ports,
  vsis,
  ms,
  Math.round(p50Ms),
  Math.round(p99Ms),
  cpuUsPerVsi,
];

export const ratio = (a, b) =>
  a === undefined || b === undefined ? undefined : Math.round((100 * a) / b) / 100;

function grid(head, rows) {
  const cells = [head, ...rows].map((row) => row.map((cell) => String(cell ?? "-")));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ");
  return `${cells.map((row) => line(row).trimEnd()).join("\n")}\n`;
}
