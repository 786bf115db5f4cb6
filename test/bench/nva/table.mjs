/** For people: what was measured, beside what is aimed at. */
export function table(report) {
  const lines = [report.machine, ""];
  for (const [part, result] of Object.entries(report)) {
    if (part === "machine") continue;
    lines.push(`${part}${aims[part] === undefined ? "" : `   (aim: ${aims[part]})`}`);
    for (const row of Array.isArray(result) ? result : [result]) {
      const figures = Object.entries(row).map(([name, value]) => `${words(name)} ${value}`);
      lines.push(`  ${figures.join(", ")}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

const aims = {
  claims: "20,000 a second on lmdb, 10,000 on etcd",
  fanout: "p99 100 ms at 20 changes a second, 1,000 watchers",
  "letting-go": "no turn above 50 ms, 100,000 VNICs",
  sync: "100,000 mappings in 2 s and 400 MB",
  failover: "0 lost",
  "take-over": "0 lost",
  frr: "the baseline of sync",
};

/** `nvaCpuUsPerClaim` as `nva cpu us per claim`. */
const words = (name) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
