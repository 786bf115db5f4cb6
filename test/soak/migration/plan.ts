import { IpAddress, Mac, Uuid, VnId, Vni } from "@nve/protocol-spec";

/** How large the soak's network is, and how long it goes on. */
export type SoakOptions = {
  /** Moves of VNICs from server to server, roll-backs among them. */
  moves: number;
  vnics: number;
  vns: number;
  seed: number;
  /** All is held against the model after so many moves, and at the end. */
  quietEvery: number;
  /** A fault for so many moves, on average; 0: none. */
  faultEvery: number;
  /** How long everything may take to be as the model has it, once nobody moves and all programs run. */
  settleMs: number;
};

export const racks = 3;
export const serversPerRack = 2;
/** Servers that a VNIC ping-pongs between, at two ports of one ToR too. */
const placesPerVnic = 4;

/** `srv1` … `srv6`; `tor1` has the first two at its ports eth1 and eth2, and so on. */
export type Server = { name: string; n: number; tor: string; port: string };
export type Tor = { name: string; n: number; vtep: IpAddress; ports: readonly string[] };

export const tors: readonly Tor[] = Array.from({ length: racks }, (_, i) => ({
  name: `tor${i + 1}`,
  n: i + 1,
  vtep: IpAddress(`10.0.${i + 1}.11`),
  ports: Array.from({ length: serversPerRack }, (_, p) => `eth${p + 1}`),
}));

export const servers: readonly Server[] = tors.flatMap(({ name, n, ports }) =>
  ports.map((port, p) => {
    const at = (n - 1) * serversPerRack + p + 1;
    return { name: `srv${at}`, n: at, tor: name, port };
  }),
);

/** A VNIC and where it may be. `ip` is its one address. */
export type Moved = {
  n: number;
  vnic: Uuid;
  vnId: VnId;
  vni: Vni;
  mac: Mac;
  ip: string;
  places: readonly Server[];
};

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, "0");

export function vnicsOf({ vnics, vns }: Pick<SoakOptions, "vnics" | "vns">): Moved[] {
  return Array.from({ length: vnics }, (_, n) => {
    const vn = n % vns;
    return {
      n,
      vnic: Uuid(`5e237f03-0b3d-49eb-ba11-${hex(n + 1, 12)}`),
      vnId: VnId(10_001 + vn),
      vni: Vni(70_001 + vn),
      // All VNs have the same addresses.
      mac: Mac(`02:00:00:00:00:${hex(1 + Math.floor(n / vns), 2)}`),
      ip: `10.9.0.${1 + Math.floor(n / vns)}`,
      places: placesOf(n),
    };
  });
}

function placesOf(n: number): Server[] {
  const first = Math.floor((n * 7) / 3);
  const from = [0, 1, 3, 4]
    .slice(0, placesPerVnic)
    .map((i) => servers[(first + i) % servers.length]);
  return from.filter((server) => server !== undefined);
}

/** Of a VNIC at a server: the tap there, and the VM's end of it among the guests. */
export const tapOf = ({ n }: Moved): string => `tap${n}`;
export const guestOf = ({ n }: Moved, at: Server): string => `g${n}s${at.n}`;
