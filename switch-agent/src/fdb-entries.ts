import type { IpPrefix, Mac, VnId, Vni } from "@nve/protocol-spec";
import type { FdbEntry, Provenance } from "@nve/protocol-spec/proto/agent";
import type * as nve from "@nve/switch-agent/nve";
import type { Nve } from "./local/nve.ts";

/** MACs of a VN that are here: said, or gleaned. */
export function localMacs({ core }: Nve, vn: VnId): number {
  const owners = core.owners(vn);
  return owners.size + [...core.gleaned.of(vn).keys()].filter((mac) => !owners.has(mac)).length;
}

/**
 * Where each MAC of a VN is, who says so and of which IPs: what has moved on from here, what was said here, what was
 * gleaned here, what the NVA has elsewhere; and as `conflict` where a MAC is seen that is said to be elsewhere (H16, H17).
 */
export function fdbEntries(agent: Nve, vn: VnId): FdbEntry[] {
  const { core } = agent;
  const vni = core.infos.get(vn)?.vni;
  if (vni === undefined) return [];
  const departed = core.departed(vn);
  const said = new Map([...core.owners(vn)].filter(([mac]) => !departed.has(mac)));
  const remotes = core.fdb.remotes(vn);
  const seen = [...core.gleaned.of(vn).values()].filter(({ mac }) => {
    return !said.has(mac) && !remotes.has(mac) && !departed.has(mac);
  });
  return [
    ...[...departed].map(([mac, { vnic, to, forwards: moved, ips: held }]) => {
      if (to === undefined)
        return {
          ...entry(agent, vn, vni, mac, "held"),
          ips: [...held],
          vnic,
          provenance: elsewhere,
        };
      const ips = remotes.get(mac)?.ips ?? [];
      const where = { ...entry(agent, vn, vni, mac, "remote"), vtep: to.vtep, nveId: to.nve };
      return { ...where, ips: [...ips], vnic, moved, provenance: elsewhere };
    }),
    ...[...said].map(([mac, vnic]) => saidEntry(agent, vn, vni, mac, vnic)),
    ...seen.map((gleaned) => gleanedEntry(agent, vn, vni, gleaned)),
    ...[...remotes.values()]
      .filter(({ mac }) => !said.has(mac) && !departed.has(mac))
      .map(({ mac, ips, vtep, nve }) => ({
        ...entry(agent, vn, vni, mac, "remote"),
        ips: [...ips],
        vtep,
        nveId: nve,
        provenance: elsewhere,
        ipProvenance: Object.fromEntries(ips.map((ip) => [ip, elsewhere])),
      })),
    ...core.gleaned.conflicts(vn).map((conflict) => ({
      ...entry(agent, vn, vni, conflict.mac, "conflict"),
      ...placed(conflict.at),
      applied: false,
      provenance: provenance(agent, { ...conflict, by: "source" }),
    })),
  ];
}

function saidEntry(agent: Nve, vn: VnId, vni: Vni, mac: Mac, vnic: nve.LocalVnic): FdbEntry {
  const said = provenance(agent, { by: vnic.by, since: vnic.since });
  const ips = new Map<IpPrefix, Provenance>();
  for (const [ip, seen] of agent.core.gleaned.of(vn).get(mac)?.ips ?? []) {
    ips.set(ip, provenance(agent, seen));
  }
  for (const ip of vnic.macs.get(mac) ?? []) ips.set(ip, said);
  return {
    ...entry(agent, vn, vni, mac, "local"),
    ...placed(vnic),
    vnic: vnic.vnic,
    provenance: said,
    ...ipsOf(ips),
  };
}

function gleanedEntry(agent: Nve, vn: VnId, vni: Vni, { mac, at, is, ips }: nve.GleanedMac) {
  const seen = [...ips].map(([ip, of]) => [ip, provenance(agent, of)] as const);
  return {
    ...entry(agent, vn, vni, mac, "local"),
    ...placed(at),
    provenance: provenance(agent, is),
    ...ipsOf(new Map(seen)),
  };
}

const entry = (agent: Nve, vn: VnId, vni: Vni, mac: Mac, where: string): FdbEntry => ({
  vnId: vn,
  vni,
  mac,
  ips: [],
  where,
  port: "",
  tag: 0,
  vtep: "",
  nveId: "",
  vnic: "",
  applied: agent.applier.has({ is: "mac", vni, mac }),
  provenance: undefined,
  ipProvenance: {},
  moved: false,
});

const placed = ({ port, vid }: Pick<nve.LocalPlace, "port" | "vid">) => ({ port, tag: vid });

const ipsOf = (ips: ReadonlyMap<IpPrefix, Provenance>) => ({
  ips: [...ips.keys()].sort(),
  ipProvenance: Object.fromEntries(ips),
});

type Said = { by: string; since: nve.Provenance["since"]; until?: nve.Provenance["until"] };

function provenance(agent: Nve, { by, since, until }: Said): Provenance {
  const ages = until !== undefined && until !== Number.POSITIVE_INFINITY;
  const untilUnixMs = ages ? BigInt(agent.unixMsOf(until)) : 0n;
  return { by, sinceUnixMs: BigInt(agent.unixMsOf(since)), untilUnixMs };
}

/** The NVA says where, and not since when. */
const elsewhere: Provenance = { by: "nva", sinceUnixMs: 0n, untilUnixMs: 0n };
