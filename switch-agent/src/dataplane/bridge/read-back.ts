import type { BridgePort, Bridging, FdbEntry } from "@nve/linux";
import type { IpAddress, Mac } from "@nve/protocol-spec";
import type { Intent, MacIntent, Place, VnIntent } from "../../nve/intents.ts";
import type { Book } from "./book.ts";
import { everybody, type Vn } from "./vn.ts";

type Found = {
  ports: ReadonlyMap<number, BridgePort>;
  /** VTEPs by VXLAN device and MAC. */
  tunnels: ReadonlyMap<string, readonly IpAddress[]>;
  /** Bridge ports by VLAN and MAC. */
  entries: ReadonlyMap<string, number>;
  mtus: ReadonlyMap<number, number>;
};

/** Of what is wanted, what the kernel says that it has. */
export async function readBack(kernel: Bridging, bridge: number, book: Book): Promise<Intent[]> {
  const found = await look(kernel, bridge);
  const places = placesOf(book, found);
  return [...book.vns.values()].flatMap((vn) => {
    const port = vn.device && found.ports.get(vn.device.index);
    if (!vn.device || port?.vid !== vn.device.vid) return [];
    const { device } = vn;
    const here = places.filter((one) => one.vni === vn.vni && one.vid === device.vid);
    return [
      ...readVn(vn, found, here),
      ...here.map(({ access }) => access),
      ...readMacs(vn, found, here),
    ];
  });
}

type Here = ReturnType<typeof placesOf>[number];

function placesOf(book: Book, { ports }: Found) {
  return [...book.ports.values()].flatMap(({ name: port, accesses }) =>
    [...accesses.values()].flatMap(({ vni, vid: tag, index }) => {
      const info = ports.get(index);
      if (info?.vid === undefined) return [];
      const at = { is: "local", port, vid: tag } as const satisfies Place;
      const locked = info.locked ? { checkSource: true as const } : {};
      const access = { is: "access", port, vid: tag, vni, ...locked } as const satisfies Intent;
      return [{ vni, vid: info.vid, index, at, access, floods: info.floodGroups }];
    }),
  );
}

function readVn({ vni, intent, device }: Vn, found: Found, here: readonly Here[]): VnIntent[] {
  if (intent === undefined || device === undefined) return [];
  const remote = found.tunnels.get(`${device.index} ${everybody}`) ?? [];
  const flood: Place[] = [
    ...here.filter(({ floods }) => floods).map(({ at }) => at),
    ...remote.map((vtep) => ({ is: "remote", vtep }) as const),
  ];
  const floodUnknown = found.ports.get(device.index)?.flood === true;
  const mtu = (found.mtus.get(device.index) ?? 0) + 4;
  const limited = intent.mtu !== undefined && mtu === intent.mtu ? { mtu } : {};
  return [{ is: "vn", vni, flood, floodUnknown, ...limited }];
}

function readMacs({ device, macs }: Vn, found: Found, here: readonly Here[]): MacIntent[] {
  if (device === undefined) return [];
  return [...macs.values()].flatMap(({ intent }): MacIntent[] => {
    const index = found.entries.get(`${device.vid} ${intent.mac}`);
    if (index === undefined) return [];
    const [vtep] = found.tunnels.get(`${device.index} ${intent.mac}`) ?? [];
    if (index === device.index) return vtep ? [{ ...intent, at: { is: "remote", vtep } }] : [];
    const at = here.find((one) => one.index === index)?.at;
    return at ? [{ ...intent, at }] : [];
  });
}

async function look(kernel: Bridging, bridge: number): Promise<Found> {
  const [ports, fdb, links] = await Promise.all([kernel.ports(), kernel.fdb(), kernel.links()]);
  const tunnels = new Map<string, IpAddress[]>();
  const entries = new Map<string, number>();
  for (const { index, mac, vid, vtep } of fdb) {
    if (vtep !== undefined) push(tunnels, key(index, mac), vtep);
    else if (vid !== undefined) entries.set(`${vid} ${mac}`, index);
  }
  return {
    ports: new Map(
      ports.filter(({ master }) => master === bridge).map((port) => [port.index, port]),
    ),
    tunnels,
    entries,
    mtus: new Map(links.map(({ index, mtu }) => [index, mtu])),
  };
}

const key = (index: FdbEntry["index"], mac: Mac): string => `${index} ${mac}`;

function push<K, V>(map: Map<K, V[]>, at: K, value: V): void {
  const list = map.get(at);
  if (list === undefined) map.set(at, [value]);
  else list.push(value);
}
