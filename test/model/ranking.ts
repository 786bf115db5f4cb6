// What the mapping of an address is, from docs/architecture.md §6 and RFC 7432 §7.7: written from there, not from the NVA.

/** A claim as the northbound API lists it. */
export type Claimed = {
  source: string;
  nve: string;
  vtep: string;
  sequence: bigint;
  sticky: boolean;
  anycast: boolean;
  gleaned: boolean;
};

/** Static, sticky, said, gleaned; then the highest sequence; then the lowest VTEP; then the source's name. */
export function best<C extends Claimed>(claims: readonly C[]): C | undefined {
  return [...claims].sort(compare)[0];
}

/** The NVEs to which frames for the address go, `first` being the best of its claims. */
export function locations(first: Claimed | undefined, claims: readonly Claimed[]): string[] {
  if (first === undefined) return [];
  if (!first.anycast) return [first.nve];
  return claims
    .filter(({ anycast }) => anycast)
    .map(({ nve }) => nve)
    .sort();
}

function compare(a: Claimed, b: Claimed): number {
  const byClass = classOf(a) - classOf(b);
  if (byClass !== 0) return byClass;
  if (a.sequence !== b.sequence) return a.sequence > b.sequence ? -1 : 1;
  const byVtep = number(a.vtep) - number(b.vtep);
  if (byVtep !== 0) return byVtep;
  return a.source < b.source ? -1 : 1;
}

/** A binding to an NVE that nobody knows comes last. */
function classOf({ source, nve, sticky, gleaned }: Claimed): number {
  if (source === "static") return nve === "" ? 4 : 0;
  if (sticky) return 1;
  return gleaned ? 3 : 2;
}

/** An IPv4 address as a number. */
const number = (ip: string): number =>
  ip.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
