import type { Clock, Link } from "@nve/linux";
import { createLog } from "@nve/program/log";
import {
  type EvbPolicy,
  IpAddress,
  NveId,
  type Uuid,
  VdpError,
  Vid,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import { SwitchAgent } from "@nve/switch-agent/agent";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import type { Nva } from "@nve/switch-agent/nva-client/client";
import { type Intent, intentKey, type Verdict } from "@nve/switch-agent/nve";

export type Tor = {
  agent: SwitchAgent;
  /** What the NVA answers to an admission. */
  verdict: (vn: VnId) => Verdict;
  /** `<vid> <vni>`: what the dataplane takes in on the port. */
  access(): string[];
  /** `<vnic> <vn> <mac> <vid> [ips]` of all that is attached. */
  attached(): string[];
};

export const granted = (vn: VnId): Verdict => ({
  is: "granted",
  info: { vn, vni: Vni(10_000 + vn), alias: `vn${vn}` },
});
/** The VN whose name this is: its last digits. */
const idOf = (name: Uuid): VnId => VnId(Number(name.slice(-6)));

export const denied: Verdict = {
  is: "denied",
  code: VdpError.invalidVidGroupOrMac,
  hard: true,
  reason: "no such VN",
};
export const unreachable: Verdict = { is: "unreachable", reason: "the NVA is away" };

/** The switch-agent with its real wiring and core, one port on a link in memory, a dataplane that takes notes. */
export function tor(
  link: Link,
  clock: Clock,
  policy: EvbPolicy,
  random: () => number,
  stations = 1,
): Tor {
  const applied = new Map<string, Intent>();
  const self: Omit<Tor, "agent"> & { agent?: SwitchAgent } = {
    verdict: granted,
    access: () =>
      [...applied.values()]
        .flatMap((intent) => (intent.is === "access" ? [`${intent.vid} ${intent.vni}`] : []))
        .sort(),
    attached: () => attachedTo(agent),
  };
  const agent = new SwitchAgent({
    config: {
      nve: NveId("tor1"),
      vtep: IpAddress("192.0.2.1"),
      nva: { addresses: ["127.0.0.1:1"], insecure: true },
      ports: [
        {
          name: link.name,
          tags: [Vid(2), Vid(40)],
          maxVnics: 100,
          stations,
          maxAddresses: 4096,
          maxGleaned: 1024,
        },
      ],
      evb: policy,
      lldp: {},
      dataplane: {
        driver: "ebpf",
        attach: "auto",
        fastPath: "auto",
        meters: "on",
        encapsulations: ["vxlan"],
        onStop: "keep",
        holdSeconds: 60,
        answer: true,
        floodLimit: "off",
        probe: "off",
      },
      glean: { macSeconds: 300, ipSeconds: 300, maxPerVn: 8192 },
      learning: "push",
      digestSeconds: 60,
      unknown: "flood",
      vns: [],
      stateDir: "/nowhere",
      link: "packet",
      socket: "unix:/nowhere",
      log: "silent",
    },
    version: "0.0.0",
    clock,
    log: createLog("switch-agent", "silent"),
    dataplane: notes(applied),
    random,
    openLink: () => link,
    watchInterface: () => () => {},
    bindings: { load: () => [], save: () => {} },
    openNva: () => nvaThat((vn) => self.verdict(vn)),
  });
  return Object.assign(self, { agent });
}

function attachedTo(agent: SwitchAgent): string[] {
  return [...agent.core.infos.keys()]
    .flatMap((vn) =>
      agent.core
        .locals(vn)
        .flatMap(({ vnic, vid, macs }) =>
          [...macs].map(([mac, ips]) => [vnic, vn, mac, vid, ...[...ips].sort()].join(" ")),
        ),
    )
    .sort();
}

function notes(applied: Map<string, Intent>): Dataplane {
  return {
    ensure: async (intents) => {
      for (const intent of intents) applied.set(intentKey(intent), intent);
    },
    remove: async (intents) => {
      for (const intent of intents) applied.delete(intentKey(intent));
    },
    prune: async (wanted) => {
      const keys = new Set(wanted.map(intentKey));
      for (const key of applied.keys()) if (!keys.has(key)) applied.delete(key);
    },
    portUp: async () => {},
    portDown: async () => {},
    onSamples: () => {},
    onWanted: () => {},
    unusedMs: () => undefined,
    silentMs: () => undefined,
    counters: async () => ({ vns: [], drops: {} }),
    applied: async () => [...applied.values()],
    close: async () => {},
  };
}

const nvaThat = (verdict: (vn: VnId) => Verdict): Nva => ({
  state: { is: "connected", address: "nva", reason: "", applied: 0n },
  admit: async ({ vn }) => verdict(typeof vn === "number" ? vn : idOf(vn)),
  watch: () => {},
  select: () => {},
  lookup: async () => ({ is: "unreachable" }),
  unwatch: () => {},
  report: () => {},
  synced: async () => {},
  close: () => {},
});
