import { IpAddress, Vid } from "@nve/protocol-spec";
import type { Place } from "@nve/switch-agent/nve";
import { Facts } from "./facts.ts";
import type { Places } from "./guests.ts";
import { type countedMaps, intentText, type Tags } from "./observed.ts";
import { type Moved, type Server, type Tor, tapOf, tors } from "./plan.ts";

/** All that is to be so when each VNIC is at its place and nobody moves. @param tags as the servers were lent them */
export function expect(places: Places, tags: Tags): Facts {
  const facts = new Facts();
  const all = [...places];
  for (const [one, at] of all) {
    const { vnic, vnId, mac, ip } = one;
    facts.add(
      `${at.name} VNICs`,
      `${vnic} ${tapOf(one)} associated active VN ${vnId} ${mac} ${ip}`,
    );
    facts.add("NVA mappings", `${vnId} ${mac} ${ip} ${vnic} at ${at.tor}`);
    facts.add("NVA claims", `${vnId} ${mac} by nve:${at.tor}`);
  }
  for (const tor of tors) {
    const here = all.filter(([, at]) => at.tor === tor.name);
    const vnIds = [...new Set(here.map(([{ vnId }]) => vnId))].sort();
    facts.add("NVA NVEs", `${tor.name} connected VNs ${vnIds}, ${here.length} claims`);
    facts.add(`${tor.name} state`, "connected, in sync");
    torFacts(tor, all, tags, facts);
  }
  return facts;
}

type At = readonly [Moved, Server];

function torFacts(tor: Tor, all: readonly At[], tags: Tags, facts: Facts): void {
  const rows: Record<(typeof countedMaps)[number], number> = {
    ...{ access: 0, fdb: 0, vns: 0, flood: 0, peers: 0, neighbours: 0, sources: 0, sourceNets: 0 },
  };
  const isHere = ([, at]: At): boolean => at.tor === tor.name;
  // Of one that has none yet any: then its line is missing anyway.
  const tagOf = ([{ vnic }, at]: At): number => tags.get(`${vnic} ${at.name}`) || 4094;
  for (const one of all.filter(isHere)) {
    const [{ vnic, vnId }, { port }] = one;
    facts.add(`${tor.name} VNICs`, `${vnic} ${port} associated VN ${vnId} tag ${tagOf(one)}`);
  }
  const vns = new Set(all.filter(isHere).map(([{ vnId }]) => vnId));
  for (const vnId of vns) {
    const members = all.filter(([one]) => one.vnId === vnId);
    const vni = members[0]?.[0].vni;
    if (vni === undefined) continue;
    const here = members.filter(isHere);
    const others = tors.filter(
      ({ name }) => name !== tor.name && members.some(([, at]) => at.tor === name),
    );
    const lent = new Map<string, { place: Place; vnics: number }>();
    for (const one of here) {
      const [, { port }] = one;
      const key = `${port}.${tagOf(one)}`;
      const place: Place = { is: "local", port, vid: Vid(tagOf(one)) };
      lent.set(key, { place, vnics: 1 + (lent.get(key)?.vnics ?? 0) });
    }
    const lentText = [...lent].map(([key, { vnics }]) => `${key}×${vnics}`).sort();
    const counts = `${here.length} here, ${members.length - here.length} elsewhere`;
    const named = others.map(({ name, vtep }) => `${name} ${vtep}`).sort();
    facts.add(`${tor.name} VNs`, `${vnId} ${counts}, tags ${lentText}, others ${named}`);

    const flood = [
      ...[...lent.values()].map(({ place }) => place),
      ...others.map(({ vtep }): Place => ({ is: "remote", vtep })),
    ];
    facts.add(`${tor.name} maps`, intentText({ is: "vn", vni, flood, floodUnknown: false }));
    for (const { place } of lent.values())
      if (place.is === "local")
        facts.add(`${tor.name} maps`, intentText({ ...place, is: "access", vni }));
    for (const one of members) macFacts(tor, one, tagOf(one), facts);
    rows.access += lent.size;
    rows.fdb += members.length;
    rows.vns += 1;
    rows.flood += flood.length;
    rows.peers += others.length;
    rows.neighbours += members.length;
    rows.sources += here.length;
  }
  for (const [name, n] of Object.entries(rows)) facts.add(`${tor.name} rows`, `${name}: ${n}`);
  facts.add(`${tor.name} rows`, `meters of VNICs: ${all.filter(isHere).length}`);
}

function macFacts(tor: Tor, [one, at]: At, tag: number, facts: Facts): void {
  const { vnic, vnId, vni, mac, ip } = one;
  const ips = [IpAddress(ip)];
  const row = `${vnId} ${mac} ${ip}`;
  const remote = tors.find(({ name }) => name === at.tor);
  if (at.tor === tor.name) {
    facts.add(`${tor.name} FDB`, `${row} local ${at.port}.${tag}`);
    const place: Place = { is: "local", port: at.port, vid: Vid(tag) };
    facts.add(`${tor.name} maps`, intentText({ is: "mac", vni, mac, at: place, ips, vnic }));
  } else if (remote !== undefined) {
    facts.add(`${tor.name} FDB`, `${row} remote ${remote.name} ${remote.vtep}`);
    const place: Place = { is: "remote", vtep: remote.vtep };
    facts.add(`${tor.name} maps`, intentText({ is: "mac", vni, mac, at: place, ips }));
  }
}
