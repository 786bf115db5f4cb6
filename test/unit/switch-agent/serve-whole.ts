import { type IpPrefix, type Mac, type NveId, Uuid, type VnId } from "@nve/protocol-spec";
import type {
  AccessRules,
  Intent,
  MacIntent,
  NveCore,
  Place,
  PortTag,
} from "@nve/switch-agent/nve";
import { placeKey } from "@nve/switch-agent/nve";

type Local = {
  vnic: string;
  hypervisor: string;
  asker: { station?: Mac; authenticated?: true };
  suspended: boolean;
  at: Place & { is: "local"; vid: PortTag };
  rules: AccessRules;
  up: boolean;
  order: number;
  macs: ReadonlyMap<Mac, ReadonlySet<IpPrefix>>;
};

/** What a core should do for its VNs: all of it computed as a whole, from nothing but what is asked for and known. */
export function wholeOf(core: NveCore, nva: boolean) {
  const vns = core.watched().map((vn) => ofVn(core, vn, nva));
  return {
    intents: vns.flatMap(({ intents }) => intents),
    claims: vns.flatMap(({ claims }) => claims),
    joined: vns.flatMap(({ vn, joined }) => (joined ? [vn] : [])),
  };
}

function ofVn(core: NveCore, vn: VnId, nva: boolean) {
  const locals = localsOf(core, vn);
  const info = core.infos.get(vn);
  if (info === undefined) {
    return { vn, intents: [], claims: [], joined: false };
  }
  const owners = new Map<Mac, Local>();
  for (const one of locals) for (const mac of one.macs.keys()) owners.set(mac, one);
  const places = new Map<string, Local>();
  const silent = locals.filter(({ macs }) => macs.size === 0);
  for (const one of [...locals, ...silent]) places.set(placeKey(one.at), one);
  const here = { owners, places };
  return {
    vn,
    intents: intentsOf(core, info, locals, here, nva),
    claims: claimsOf(core, vn, here),
    joined: true,
  };
}

/** The latest association last. */
function localsOf(core: NveCore, vn: VnId): Local[] {
  const locals = [...core.tree.members(vn)].flatMap((key): Local[] => {
    const granted = core.vsis.get(key)?.granted;
    const port = core.ports.get(granted?.ask.port ?? "");
    const vid = port?.pool.tagOf(vn);
    const macs = core.tree.content(key)?.get(vn);
    if (granted?.ask.mode !== "associate" || port === undefined) return [];
    if (vid === undefined || macs === undefined) return [];
    const { vnic, hypervisor, suspended, station, rules = port.rules } = granted.ask;
    const proven = granted.ask.authenticated ? ({ authenticated: true } as const) : {};
    const asker = { ...(station !== undefined && { station }), ...proven };
    const at = { is: "local", port: granted.ask.port, vid } as const;
    return [
      { vnic, hypervisor, asker, suspended, at, rules, up: port.up, order: granted.order, macs },
    ];
  });
  return locals.sort((a, b) => a.order - b.order);
}

type Here = { owners: ReadonlyMap<Mac, Local>; places: ReadonlyMap<string, Local> };

function intentsOf(
  { fdb, gleaned, infos }: NveCore,
  { vn, vni }: { vn: VnId; vni: Intent["vni"] },
  locals: readonly Local[],
  { owners, places }: Here,
  nva: boolean,
): Intent[] {
  const members = [...fdb.members(vn).values()];
  const heard = new Set<NveId>([...fdb.remotes(vn).values()].map(({ nve }) => nve));
  const isSilent =
    locals.some(({ macs }) => macs.size === 0) || members.some(({ nve }) => !heard.has(nve));
  const vteps = [...new Set(members.map(({ vtep }) => vtep))].sort();
  const ports = [...places.values()].map(({ at }) => at).sort((a, b) => (a.port < b.port ? -1 : 1));
  const flood = [...ports, ...vteps.map((vtep): Place => ({ is: "remote", vtep }))];
  const macs = new Map<Mac, Place>();
  for (const { mac, at } of gleaned.of(vn).values()) macs.set(mac, at);
  for (const { mac, vtep } of fdb.remotes(vn).values()) macs.set(mac, { is: "remote", vtep });
  for (const [mac, { at, up }] of owners) if (up || !fdb.remotes(vn).has(mac)) macs.set(mac, at);
  return [
    { is: "vn", vni, flood, floodUnknown: !nva || !fdb.complete(vn) || isSilent, ...infos.rules },
    ...[...places.values()].map(
      ({ at: { port, vid }, rules }): Intent => ({ is: "access", port, vid, vni, ...rules }),
    ),
    ...[...macs].map(([mac, at]): MacIntent => {
      const ips = ipsOf({ fdb, gleaned, infos }, vn, mac, at, { owners, places });
      const vnic =
        at.is === "local" ? (owners.get(mac) ?? places.get(placeKey(at)))?.vnic : undefined;
      return {
        ...{ is: "mac", vni, mac, at },
        ...(ips.length > 0 && { ips: [...ips].sort() }),
        ...(vnic !== undefined && { vnic: Uuid(vnic) }),
        ...(at.is === "local" && owners.get(mac)?.suspended && { suspended: true }),
      };
    }),
  ];
}

/** Of a MAC elsewhere where they are answered for; of one here also where they are checked, and then those said alone. */
function ipsOf(
  { fdb, gleaned, infos }: Pick<NveCore, "fdb" | "gleaned" | "infos">,
  vn: VnId,
  mac: Mac,
  at: Place,
  { owners, places }: Here,
): readonly IpPrefix[] {
  const { answer } = infos.rules;
  if (at.is === "remote") return answer ? (fdb.remotes(vn).get(mac)?.ips ?? []) : [];
  const { macs, rules } = owners.get(mac) ?? places.get(placeKey(at)) ?? {};
  const said = [...(macs?.get(mac) ?? [])];
  const seen = [...(gleaned.of(vn).get(mac)?.ips.keys() ?? [])];
  if (rules?.checkIps) return said;
  return answer ? (said.length > 0 ? said : seen) : [];
}

function claimsOf({ gleaned }: NveCore, vn: VnId, { owners, places }: Here) {
  const own = [...owners].map(([mac, owner]) => {
    const said = owner.macs.get(mac) ?? new Set();
    const ips = said.size > 0 ? [...said] : [...(gleaned.of(vn).get(mac)?.ips.keys() ?? [])];
    return claim(vn, mac, owner, ips, owner.suspended);
  });
  const seen = [...gleaned.of(vn).values()].flatMap(({ mac, at, ips }) => {
    const one = places.get(placeKey(at));
    if (owners.has(mac) || one === undefined) return [];
    return [{ ...claim(vn, mac, one, [...ips.keys()], false), gleaned: true as const }];
  });
  return [...own, ...seen];
}

const claim = (vn: VnId, mac: Mac, from: Local, ips: readonly IpPrefix[], suspended: boolean) => ({
  ...{ vn, mac, ips: [...ips].sort(), vnic: from.vnic, hypervisor: from.hypervisor },
  ...{ port: from.at.port, suspended, ...from.asker },
});
