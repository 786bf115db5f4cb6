/** For people: Markdown, as docs/performance-dataplane.md has it, and what is aimed at. */
export function table(report) {
  const lines = [report.machine, ...report.left.map((why) => `left out: ${why}`), ""];
  for (const [name, part] of Object.entries(report.parts)) {
    lines.push(`### ${titles[name]}`, "");
    if (part.failed !== undefined) lines.push(`failed: ${part.failed}`);
    else if (part.skipped !== undefined) lines.push(`left out: ${part.skipped}`);
    else lines.push(...markdown(columns[name], part.rows), ...roundsOf(part));
    lines.push("");
  }
  lines.push("### Aims", "", ...markdown(aimColumns, aims(report.parts)), "");
  return `${lines.join("\n")}`;
}

const titles = {
  packets: "Frames of 64 octets",
  rtt: "Round trip",
  tcp: "TCP, one connection",
  quic: "UDP super-packets",
  each: "Where the time goes",
  macs: "MACs in the table",
  updates: "Changes of the table while frames pass",
};

const fixed = (digits) => (n) => (n === undefined ? "–" : n.toFixed(digits));
const side = ["", ({ what }) => what];
const columns = {
  packets: [
    side,
    ["k frames/s", ({ perSecond }) => fixed(0)(perSecond / 1000)],
    ["of the floor", ({ ofFloor }) => fixed(3)(ofFloor)],
    ["× tuned bridge", ({ ofTuned }) => fixed(2)(ofTuned)],
    ["CPU µs each", ({ cpuUs }) => fixed(2)(cpuUs)],
    ["by CPU: of the floor", ({ cpuOfFloor }) => fixed(3)(cpuOfFloor)],
    ["× tuned bridge", ({ cpuOfTuned }) => fixed(2)(cpuOfTuned)],
    ["least µs", ({ leastUs }) => fixed(2)(leastUs)],
    ["of the floor", ({ leastOfFloor }) => fixed(3)(leastOfFloor)],
    ["× tuned bridge", ({ leastOfTuned }) => fixed(2)(leastOfTuned)],
    ["arrived", ({ arrived }) => fixed(4)(arrived)],
  ],
  rtt: [
    side,
    ["p50 µs", ({ p50Us }) => fixed(1)(p50Us)],
    ["p99 µs", ({ p99Us }) => fixed(1)(p99Us)],
    ["p50 × tuned bridge", ({ p50OfTuned }) => fixed(2)(p50OfTuned)],
    ["p99 × tuned bridge", ({ p99OfTuned }) => fixed(2)(p99OfTuned)],
  ],
  tcp: [
    side,
    ...["large", "mss"].flatMap((of) => [
      [`${of}: Gbit/s`, (row) => fixed(2)(row[of]?.gbitPerSecond)],
      ["of the floor", (row) => fixed(3)(row[of]?.ofFloor)],
      ["× tuned bridge", (row) => fixed(2)(row[of]?.ofTuned)],
      ["CPU s/GB", (row) => fixed(2)(row[of]?.cpuSecondsPerGb)],
      ["by CPU × tuned bridge", (row) => fixed(2)(row[of]?.cpuOfTuned)],
    ]),
  ],
  quic: [
    side,
    ["datagrams sent", ({ sent }) => sent],
    ["received", ({ received }) => received],
    ["corrupt", ({ corrupt }) => corrupt],
    ["twice", ({ twice }) => twice],
  ],
  each: [
    ["", ({ name }) => name],
    ["least CPU µs each", ({ cpuUs }) => fixed(2)(cpuUs)],
    ["over the floor", ({ overFloor }) => fixed(2)(overFloor)],
    ["over none", ({ overNone }) => fixed(2)(overNone)],
  ],
  macs: [
    ["MACs", ({ macs }) => macs.toLocaleString("en")],
    ["k frames/s", ({ perSecond }) => fixed(0)(perSecond / 1000)],
    ["of the floor", ({ ofFloor }) => fixed(3)(ofFloor)],
    ["of one MAC", ({ ofOne }) => fixed(3)(ofOne)],
    ["CPU µs each", ({ cpuUs }) => fixed(2)(cpuUs)],
    ["the floor's", ({ floorCpuUs }) => fixed(2)(floorCpuUs)],
    ["by CPU: of one MAC", ({ cpuOfOne }) => fixed(3)(cpuOfOne)],
    ["least µs", ({ leastUs }) => fixed(2)(leastUs)],
    ["of the floor", ({ leastOfFloor }) => fixed(3)(leastOfFloor)],
    ["arrived", ({ arrived }) => fixed(4)(arrived)],
  ],
  updates: [
    ["", ({ what, macs }) => `${macs.toLocaleString("en")} ${what}`],
    ["ms", ({ ms }) => fixed(0)(ms)],
    ["CPU ms", ({ cpuMs }) => fixed(0)(cpuMs)],
    ["frames sent meanwhile", ({ sent }) => sent],
    ["lost", ({ lost }) => lost],
  ],
};

function markdown(of, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [
    line(of.map(([title]) => title)),
    line(of.map(() => "---")),
    ...rows.map((row) => line(of.map(([, text]) => text(row)))),
  ];
}

function roundsOf({ rounds, seconds }) {
  const one = rounds && Object.values(rounds.mss ?? rounds)[0];
  const n = Array.isArray(one) ? `medians of ${one.length} rounds, ` : "";
  return ["", `(${n}${seconds} s)`];
}

const aimColumns = [
  ["all protections, IPv4", ({ what }) => what],
  ["aim", ({ aim }) => aim],
  ["seen", ({ seen }) => seen],
  ["by CPU", ({ byCpu }) => byCpu ?? ""],
  ["by the least CPU", ({ byLeast }) => byLeast ?? ""],
  ["", ({ met }) => (met === undefined ? "not measured" : met ? "met" : "NOT met")],
];

/** What issue 5 asks of it. */
function aims(parts) {
  const row = (part, name = "ours") => parts[part]?.rows?.find((one) => one.name === name);
  const [packets, tcp, rtt] = ["packets", "tcp", "rtt"].map((part) => row(part));
  const macs = parts.macs?.rows?.map(({ ofOne }) => ofOne);
  const macsByCpu = parts.macs?.rows?.map(({ cpuOfOne }) => cpuOfOne);
  const macsByLeast = parts.macs?.rows?.map(({ leastUs }, _, all) => all[0].leastUs / leastUs);
  const moved = parts.updates?.rows;
  const gso = parts.quic?.rows?.filter(({ name }) => name.startsWith("ours"));
  const least = (what, limit, seen, byCpu, byLeast) => ({
    ...{ what, aim: `≥ ${limit}`, seen: fixed(3)(seen), byCpu: fixed(3)(byCpu) },
    ...(byLeast !== undefined && { byLeast: fixed(3)(byLeast) }),
    ...(seen !== undefined && { met: seen >= limit }),
  });
  const most = (what, limit, unit, seen) => ({
    ...{
      what,
      aim: `≤ ${limit}${unit}`,
      seen: seen === undefined ? "–" : `${Number(seen.toFixed(2))}${unit}`,
    },
    ...(seen !== undefined && { met: seen <= limit }),
  });
  const worst = (values) => (values === undefined ? undefined : Math.min(...values));
  const sum = (rows, figure) => rows?.reduce((all, one) => all + figure(one), 0);
  return [
    least(
      "frames/s, of the floor",
      0.75,
      packets?.ofFloor,
      packets?.cpuOfFloor,
      packets?.leastOfFloor,
    ),
    least(
      "frames/s, × tuned bridge",
      1.5,
      packets?.ofTuned,
      packets?.cpuOfTuned,
      packets?.leastOfTuned,
    ),
    least("TCP, large segments, × tuned bridge", 1.05, tcp?.large?.ofTuned, tcp?.large?.cpuOfTuned),
    least("TCP, MSS-sized, × tuned bridge", 0.95, tcp?.mss?.ofTuned, tcp?.mss?.cpuOfTuned),
    most("round trip p99, × tuned bridge", 1, "", rtt?.p99OfTuned),
    least(
      "frames/s with 1 to 256,000 MACs, of one MAC",
      0.9,
      worst(macs),
      worst(macsByCpu),
      worst(macsByLeast),
    ),
    most("100,000 changes", 500, " ms", moved && Math.max(...moved.map(({ ms }) => ms))),
    most(
      "frames lost meanwhile",
      0,
      "",
      sum(moved, ({ lost }) => lost),
    ),
    most(
      "datagrams of super-packets lost, all of ours",
      0,
      "",
      sum(gso, (one) => one.sent - one.received),
    ),
  ];
}
