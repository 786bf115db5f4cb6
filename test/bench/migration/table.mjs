// The report as Markdown.
const aims = { across: 10, within: 5 };
const kinds = {
  across: "from ToR to ToR",
  within: "within a ToR",
  still: "nothing moves",
};
const names = { ours: "ours", frr: "FRR EVPN" };

export function table({ machine, parts, left }) {
  const sides = Object.keys(names).filter((side) => parts[side] !== undefined);
  const failed = Object.entries(parts).filter(([, part]) => part.failed !== undefined);
  return [
    machine,
    ...left,
    ...failed.map(([name, part]) => `${name}: FAILED: ${part.failed}`),
    "",
    ...(sides.length > 0 ? [...moves(parts, sides), "", ...aimsOf(parts), ""] : []),
    ...(parts.evacuation?.vnics !== undefined ? evacuated(parts.evacuation) : []),
    "",
  ].join("\n");
}

const row = (cells) => `| ${cells.join(" | ")} |`;
const head = (cells) => [row(cells), row(cells.map(() => "---"))];
const times = (of) => (of === undefined ? ["", "", ""] : [of.p50, of.p99, of.max]);

function moves(parts, sides) {
  const rows = Object.keys(kinds).flatMap((kind) =>
    sides.flatMap((side) => {
      const one = parts[side][kind];
      if (one === undefined) return [];
      const counts = [one.moves, one.sent, one.lost, one.twice, one.reordered];
      return [
        row([
          kinds[kind],
          names[side],
          ...counts,
          ...times(one.networkMs),
          ...(kind === "still" ? ["", "", "", ""] : [one.astray, ...times(one.outageMs)]),
        ]),
      ];
    }),
  );
  const counts = ["moves", "sent", "lost", "twice", "reordered"];
  return [
    ...head([
      "",
      "",
      ...counts,
      "gap p50 ms",
      "p99",
      "max",
      "astray",
      "outage p50 ms",
      "p99",
      "max",
    ]),
    ...rows,
    "",
    ...head([
      "calls of ours",
      "prepare p50 ms",
      "p99",
      "max",
      "suspend p50",
      "p99",
      "max",
      "activate p50",
      "p99",
      "max",
    ]),
    ...Object.keys(aims).flatMap((kind) => {
      const one = parts.ours?.[kind];
      return one === undefined
        ? []
        : [
            row([
              kinds[kind],
              ...times(one.prepareMs),
              ...times(one.suspendMs),
              ...times(one.activateMs),
            ]),
          ];
    }),
  ];
}

function aimsOf(parts) {
  const met = (is) => (is ? "met" : "NOT met");
  return [
    ...head(["aim, ours", "seen", ""]),
    ...Object.entries(aims).flatMap(([kind, ms]) => {
      const one = parts.ours?.[kind];
      if (one === undefined) return [];
      return [
        row([
          `${kinds[kind]}: 0 lost, 0 twice`,
          `${one.lost}, ${one.twice}`,
          met(one.lost + one.twice === 0),
        ]),
        row([
          `${kinds[kind]}: added gap p99 ≤ ${ms} ms`,
          one.networkMs.p99,
          met(one.networkMs.p99 <= ms),
        ]),
        row([
          `${kinds[kind]}: outage at the VM's place p99 ≤ ${ms} ms`,
          one.outageMs.p99,
          met(one.outageMs.p99 <= ms),
        ]),
      ];
    }),
  ];
}

function evacuated({
  vnics,
  servers,
  vns,
  attachedMs,
  signallingMs,
  lastActiveMs,
  stepMs,
  sample,
  left,
  cpuMs,
}) {
  const { afterMs, ...counts } = left;
  const remaining = Object.entries(counts).filter(([, n]) => n !== 0);
  return [
    ...head([`${vnics} VNICs of ${vns} VNs, one server to ${servers}`, ""]),
    row(["all signalled", `${signallingMs} ms (aim: 5,000)`]),
    row(["the last one active", `${lastActiveMs} ms`]),
    row(["attached at the source, before", `${attachedMs} ms`]),
    ...Object.entries(stepMs).map(([name, { p50, p99, max }]) =>
      row([`${name}: p50, p99, max`, `${p50}, ${p99}, ${max} ms`]),
    ),
    row([
      `${sample.streams} streams: sent, lost, twice, reordered, astray`,
      ["sent", "lost", "twice", "reordered", "astray"].map((name) => sample[name]).join(", "),
    ]),
    row(["longest gap p50, max", `${sample.networkMs.p50}, ${sample.networkMs.max} ms`]),
    row([
      "longest outage at the VM's place p50, max",
      `${sample.outageMs.p50}, ${sample.outageMs.max} ms`,
    ]),
    row([
      "left at the source",
      remaining.length === 0
        ? `nothing, after ${afterMs} ms`
        : remaining.map(([name, n]) => `${name} ${n}`).join(", "),
    ]),
    row([
      "CPU ms",
      Object.entries(cpuMs)
        .map(([name, ms]) => `${name} ${ms}`)
        .join(", "),
    ]),
  ];
}
