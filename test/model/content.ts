import { type Content, partsOf, vnicOf } from "./book.ts";
import { freezingVn, migrates } from "./freezes.ts";
import type { Random } from "./random.ts";

export const ips = ["0a000001", "0a000002", "0a000003", "fd000000000000000000000000000001"];

/** In the VN whose duplicates freeze, an IP that no other MAC has. */
export function ownIp(key: string, ip: string): string {
  const { vn, mac } = partsOf(key);
  return vn === freezingVn ? ip.slice(0, 4) + mac.slice(-2) + ip.slice(6) : ip;
}

/** Whose the address is at an NVE: where it does not migrate, another one's at each. */
export const vnicAt = (key: string, { id }: { id: string }): string =>
  partsOf(key).vn === freezingVn && !migrates(key) ? vnicOf(key, id) : vnicOf(key);

/** Every fourth MAC may be anycast, so that the others show that a sequence rises with each move. */
export function contentOf(random: Random, key: string): Content {
  const { vn, mac } = partsOf(key);
  const number = Number.parseInt(mac.slice(-1), 16);
  const anycast = random.chance(0.6);
  return {
    ips: ipsOf(random).map((ip) => ownIp(key, ip)),
    vnic: vnicOf(key),
    sticky: random.chance(0.15),
    anycast: anycast && number % 4 === 0,
    suspended: false,
    gleaned: random.chance(0.15) && !(vn === freezingVn && migrates(key)),
  };
}

/** None, one, or so many that a watcher that reads slowly makes the NVA wait. */
function ipsOf(random: Random): readonly string[] {
  const one = random.pick(ips);
  const how = random.next();
  if (how < 0.9) return how < 0.4 ? [] : [one];
  const first = random.below(256).toString(16).padStart(2, "0");
  return Array.from({ length: 600 }, (_, n) => `fd${first}${n.toString(16).padStart(28, "0")}`);
}
