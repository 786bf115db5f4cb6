import { type IpAddress, Vid, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import type {
  AccessIntent,
  AccessRules,
  Encapsulation,
  Intent,
  MacIntent,
  Place,
  PortTag,
} from "@nve/switch-agent/nve";
import type { Tunnelled } from "./tunnels.ts";
import { station, testFrame } from "./wires.ts";

/** A part of the contract that a driver may be without, if docs/dataplane.md says so. */
export type Part =
  | "CE outside"
  | "encapsulations"
  | "flood lists replaced at once"
  | "flood counters"
  | "flood limits"
  | "gleaning"
  | "in flight"
  | "IPs of sources"
  | "meters"
  | "neighbours"
  | "places without an access"
  | "profiles"
  | "pull"
  | "suspended"
  | "too big"
  | "UDP checksums without a NIC";

/** A switch with access ports p1, p2, p3 and an underlay, and what a dataplane driver does in it. */
export type DataplaneRig = {
  /** Opens the driver; no port is up yet. */
  open(): Promise<Dataplane>;
  /** Sends at the far end of an access port. */
  send(port: string, frame: Uint8Array): void;
  /** The same frame `n` times at once with whatever the caller does; settled when all are sent. */
  sendMany(port: string, frame: Uint8Array, n: number): Promise<void>;
  /** Sends out of the underlay, as another NVE would. */
  tunnel(tunnelled: Tunnelled): void;
  /**
   * What has come out since the last call, when all that was sent has gone through, in order of text:
   * `p2: 0a → 0b [20] hello`, `vxlan 100 to 192.0.2.2: 0a → 0c [] hello`.
   * @param words of one frame, and undefined of those that are not looked for; if not those of `testFrame`
   */
  seen(words?: (frame: Uint8Array) => string | undefined): Promise<string[]>;
  /** The same of one access port, or of the underlay ("ul"), as frames. */
  received(wire: string): Promise<Uint8Array[]>;
  /** Deletes the interface of a port; `addPort` makes it anew. */
  deletePort(port: string): void;
  addPort(port: string): void;
  /** How frames go to other NVEs, and come from there. */
  encapsulation: "vxlan" | Encapsulation;
  /** Own VTEP, two others of the underlay, and one that is a member of nothing. */
  vtep: IpAddress;
  a: IpAddress;
  b: IpAddress;
  stranger: IpAddress;
  /** The longest tenant packet (without Ethernet header) that the underlay carries. */
  mtu: number;
  /** The reasons for drops that the driver tells, where it does not tell all. */
  tells?: readonly string[];
  close(): void;
};

/** @param vid 0: frames without a tag */
const tag = (vid: number): PortTag => (vid === 0 ? 0 : Vid(vid));
export const local = (port: string, vid: number): Place => ({
  is: "local",
  port,
  vid: tag(vid),
});
export const remote = (vtep: IpAddress): Place => ({ is: "remote", vtep });
export const mac = (vni: number, name: string, at: Place): MacIntent => ({
  is: "mac",
  vni: Vni(vni),
  mac: station(name),
  at,
});
export const access = (
  port: string,
  vid: number,
  vni: number,
  rules: AccessRules = {},
): AccessIntent => ({
  is: "access",
  port,
  vid: tag(vid),
  vni: Vni(vni),
  ...rules,
});
export const vn = (vni: number, flood: readonly Place[], floodUnknown = false): Intent => ({
  is: "vn",
  vni: Vni(vni),
  flood,
  floodUnknown,
});

/** VN 100 on p1 (two tags) and p2, VN 200 with the same MACs and crossed tags on p1 and p3. */
export const standard = ({ a, b }: DataplaneRig): Intent[] => [
  vn(100, [local("p1", 10), local("p1", 12), local("p2", 20), remote(a), remote(b)]),
  vn(200, [local("p1", 20), local("p3", 10), remote(a)]),
  access("p1", 10, 100),
  access("p1", 12, 100),
  access("p2", 20, 100),
  access("p1", 20, 200),
  access("p3", 10, 200),
  mac(100, "0a", local("p1", 10)),
  mac(100, "0b", local("p2", 20)),
  mac(100, "0e", local("p1", 12)),
  mac(100, "0c", remote(a)),
  mac(100, "0d", remote(b)),
  mac(200, "0a", local("p1", 20)),
  mac(200, "0b", local("p3", 10)),
  mac(200, "0c", remote(a)),
];

/** What the tests of the contract work with: a driver that is open, its ports up, `standard` applied. */
export class Bench {
  /** What the driver does not do. */
  readonly without: ReadonlySet<Part>;
  #rig: DataplaneRig | undefined;
  #dataplane: Dataplane | undefined;

  constructor(without: readonly Part[] = []) {
    this.without = new Set(without);
  }

  get rig(): DataplaneRig {
    if (this.#rig === undefined) throw new Error("no rig");
    return this.#rig;
  }

  get dataplane(): Dataplane {
    if (this.#dataplane === undefined) throw new Error("no dataplane");
    return this.#dataplane;
  }

  async setUp(make: () => Promise<DataplaneRig>): Promise<void> {
    this.#rig = await make();
  }

  async open(): Promise<void> {
    this.#dataplane = await this.rig.open();
    for (const port of ["p1", "p2", "p3"]) await this.dataplane.portUp(port);
    await this.dataplane.ensure(standard(this.rig));
    await this.rig.seen();
  }

  async close(): Promise<void> {
    await this.#dataplane?.close();
    this.#dataplane = undefined;
  }

  tearDown(): void {
    this.#rig?.close();
  }

  /** A frame at the far end of an access port. */
  at(port: string, tags: string, from: string, to: string): void {
    this.rig.send(port, testFrame({ from, to, tags, text: "hello" }));
  }

  /** A frame from another NVE. */
  over(source: IpAddress, vni: number, from: string, to: string, tags = ""): void {
    const frame = testFrame({ from, to, tags, text: "hello" });
    this.rig.tunnel({ vni, source, destination: this.rig.vtep, frame });
  }

  /** How a frame in a tunnel is told by `seen`. */
  tunnelTo(vtep: IpAddress, vni: number, what: string): string {
    return `${this.rig.encapsulation} ${vni} to ${vtep}: ${what}`;
  }

  /** Of these reasons those that the driver tells. */
  told(reasons: Record<string, number>): Record<string, number> {
    const { tells } = this.rig;
    if (tells === undefined) return reasons;
    return Object.fromEntries(Object.entries(reasons).filter(([reason]) => tells.includes(reason)));
  }

  /** The reasons for which something was dropped, and how many. */
  async dropped(): Promise<Record<string, number>> {
    const { drops } = await this.dataplane.counters();
    return Object.fromEntries(Object.entries(drops).filter(([, n]) => n > 0));
  }
}

/** An order of intents and of flood lists that says nothing. */
export const sorted = (intents: readonly Intent[]): string[] =>
  intents
    .map((intent) =>
      JSON.stringify(
        intent.is === "vn"
          ? { ...intent, flood: intent.flood.map((p) => JSON.stringify(p)).sort() }
          : intent,
      ),
    )
    .sort();
