/** A certificate's end as `status` shows it; nothing in plain TCP. @param validToUnixMs 0: there is none */
export function certificateText(validToUnixMs: bigint, fault: string, now = Date.now()): string {
  if (validToUnixMs === 0n) return "none: plain TCP";
  const end = new Date(Number(validToUnixMs)).toISOString().replace(/\.\d+Z$/, "Z");
  const days = Math.floor((Number(validToUnixMs) - now) / 86_400_000);
  const left = days >= 1 ? `, ${days} ${days === 1 ? "day" : "days"} left` : "";
  return `valid to ${end}${left}${fault === "" ? "" : `: ${fault}`}`;
}
