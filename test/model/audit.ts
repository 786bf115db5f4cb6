import type { SourcedClaim } from "@nve/protocol-spec/proto/northbound";
import type { Claim, Mapping } from "@nve/protocol-spec/proto/types";
import { claimText, keyOf, mappingText, partsOf, staticSource } from "./book.ts";
import { type Duplicates, freezingVn } from "./freezes.ts";
import type { Northbound } from "./northbound.ts";
import { best, type Claimed, locations } from "./ranking.ts";
import type { SimNve } from "./sim-nve.ts";
import type { World } from "./world.ts";

export type Listed = Claimed & { key: string; text: string; best: boolean; stale: boolean };

/** Holds what an NVA lists against what was written. */
export class Audit {
  readonly #world: World;
  readonly #northbound: Northbound;
  readonly #nves: readonly SimNve[];
  done = 0;

  constructor(world: World, northbound: Northbound, nves: readonly SimNve[]) {
    this.#world = world;
    this.#northbound = northbound;
    this.#nves = nves;
  }

  /** At any time: what must be listed is, what must not be is not, and of each address the best claim is the best. */
  async claims(): Promise<Listed[]> {
    const { trace, book } = this.#world;
    const before = await this.#duplicates();
    const from = trace.say("a client lists the claims");
    const listed = (await this.#northbound.claims()).map((one) => this.#read(one));
    this.#world.expire();
    const to = trace.say(`${listed.length} claims are listed`);
    const texts = new Map(listed.map(({ source, key, text }) => [`${source} ${key}`, text]));
    for (const key of book.keys())
      for (const id of [...this.#nves.map((nve) => nve.id), staticSource]) {
        const found = texts.get(`${id === staticSource ? id : `nve:${id}`} ${key}`);
        const possible = new Set(
          [...book.claim(id, key).possible(from, to)].map((value) => value?.replace(/ @.*/, "")),
        );
        if (found !== undefined && id !== staticSource && !book.admittedSince(key, found, from).may)
          throw this.#fault(key, `${id}'s claim "${found}" is listed, and may not be let in`);
        if (possible.has(found)) continue;
        const values = [...possible].map((value) => value ?? "nothing").join(" or ");
        throw this.#fault(
          key,
          `${id}'s claim is listed as ${found ?? "nothing"}, must be ${values}`,
        );
      }
    const claims = byKey(listed);
    const free = (key: string): void => {
      const all = claims.get(key) ?? [];
      if (all.length > 0 && all.every(({ source }) => source !== staticSource))
        this.#ranked(key, all, best(all));
    };
    for (const key of claims.keys()) if (partsOf(key).vn !== freezingVn) free(key);
    this.#world.freezes.check(before, claims, await this.#duplicates(), free);
    return listed;
  }

  async #duplicates(): Promise<Duplicates> {
    const { freezes } = this.#world;
    const asked = freezes.now();
    const all = await this.#northbound.duplicates(freezingVn);
    return { all, asked, told: freezes.now() };
  }

  /** Who has an address, asked as NVEs that pull do. */
  async lookup(key: string): Promise<void> {
    const { book } = this.#world;
    const { answer, revision } = await this.#northbound.lookup(key);
    this.#world.expire();
    if (answer?.$case === "found") book.toldMapping("a lookup", answer.value, revision);
    else if (answer?.$case === "none") book.toldNone("a lookup", key, revision);
  }

  /** When all is quiet: each mapping is its best claim, by whatever way it is asked for. */
  async mappings(listed: readonly Listed[]): Promise<Mapping[]> {
    const claims = byKey(await this.#withPlaces(listed));
    for (const [key, all] of claims) {
      this.#ranked(key, all, this.#bestOf(key, all));
      const isPlaced = all.some(({ nve }) => nve !== "");
      if (!isPlaced) claims.delete(key);
    }
    const mappings = await this.#northbound.mappings();
    const keys = mappings.map(({ vnId, mac }) => keyOf(vnId, mac.toString("hex")));
    for (const key of claims.keys())
      if (!keys.includes(key)) throw this.#fault(key, "it is claimed, and no mapping is listed");
    for (const [n, mapping] of mappings.entries()) {
      const key = keys[n] ?? "";
      const at = mapping.locations.map(({ nveId }) => nveId).sort();
      const first = this.#bestOf(key, claims.get(key) ?? []);
      const wanted = locations(first, claims.get(key) ?? []);
      if (at.join() !== wanted.join())
        throw this.#fault(key, `its mapping is at ${at}, its best claim at ${wanted}`);
      if (first?.sequence !== mapping.sequence || first.stale !== mapping.stale)
        throw this.#fault(
          key,
          `its mapping has sequence ${mapping.sequence}${mapping.stale ? ", stale" : ""}, its best claim ${first?.sequence}${first?.stale ? ", stale" : ""}`,
        );
      for (const octets of mapping.ips.slice(0, 2))
        await this.#byIp(mapping.vnId, octets.toString("hex"), mappings);
    }
    return mappings;
  }

  async #byIp(vn: number, ip: string, mappings: readonly Mapping[]): Promise<void> {
    const holders = mappings
      .filter(({ vnId, ips }) => vnId === vn && ips.some((one) => one.toString("hex") === ip))
      .map(({ mac }) => mac.toString("hex"));
    const { answer } = await this.#northbound.lookup(keyOf(vn, ""), ip);
    const found = answer?.$case === "found" ? answer.value.mac.toString("hex") : "nobody";
    if (!holders.includes(found))
      throw this.#world.trace.violation(`VN ${vn}: ${ip} is of ${found}, not of ${holders}`, {
        vn,
      });
  }

  /** By the rules; of a frozen address, which is where it was, what the NVA says. */
  #bestOf(key: string, claims: readonly Listed[]): Listed | undefined {
    const isBound = claims.some(({ source, nve }) => source === staticSource && nve !== "");
    if (isBound || !this.#world.freezes.isFrozen(key)) return best(claims);
    return claims.find((one) => one.best);
  }

  #ranked(key: string, claims: readonly Listed[], first: Listed | undefined): void {
    const marked = claims.filter((one) => one.best).map(({ source }) => source);
    const wanted = first?.source;
    if (marked.length === 1 && marked[0] === wanted) return;
    const shown = claims.map((c) => `${c.source} #${c.sequence} ${c.text}`).join("; ");
    throw this.#fault(
      key,
      `the best claim is said to be ${marked}, by the rules it is ${wanted}: ${shown}`,
    );
  }

  #read({ source, claim, best: isBest, stale }: SourcedClaim): Listed {
    if (claim === undefined) throw new Error("a claim without claim");
    const id = source.replace(/^nve:/, "");
    if (source === staticSource) return this.#readBinding(claim, isBest, stale);
    const nve = this.#nves.find((one) => one.id === id);
    if (nve === undefined)
      throw this.#world.trace.violation(`a claim of ${source}, which there is not`);
    const { sticky, anycast, suspended, gleaned, sequence } = claim;
    const ips = claim.ips.map((octets) => octets.toString("hex"));
    const vnic = claim.vnic.toString("hex");
    return {
      source,
      nve: id,
      vtep: nve.vtep,
      key: keyOf(claim.vnId, claim.mac.toString("hex")),
      text: claimText({ ips, vnic, sticky, anycast, suspended, gleaned }),
      sequence,
      sticky,
      anycast,
      gleaned,
      best: isBest,
      stale,
    };
  }

  #readBinding(claim: Claim, best: boolean, stale: boolean): Listed {
    const { sticky, anycast, gleaned, sequence } = claim;
    const key = keyOf(claim.vnId, claim.mac.toString("hex"));
    const ips = claim.ips.map((octets) => octets.toString("hex"));
    const text = mappingText({ ips, vnic: "", sticky, anycast, suspended: claim.suspended });
    const source = staticSource;
    return {
      ...{ source, nve: "", vtep: "", key, text, sequence, sticky, anycast, gleaned, best, stale },
    };
  }

  /** To which NVEs addresses are bound, when all is quiet; one that the NVA does not know is nowhere. */
  async #withPlaces(listed: readonly Listed[]): Promise<Listed[]> {
    const known = (await this.#northbound.nves()).map(({ location }) => location?.nveId);
    const { book, trace } = this.#world;
    return listed.map((one) => {
      if (one.source !== staticSource) return one;
      const bound = book.binding(one.key).certain(trace.now);
      const id = bound === "unsure" ? undefined : bound.value?.split(" @")[1];
      const nve = this.#nves.find((some) => some.id === id && known.includes(id));
      return nve === undefined ? one : { ...one, nve: nve.id, vtep: nve.vtep };
    });
  }

  #fault(key: string, fault: string): Error {
    return this.#world.trace.violation(`${key}: ${fault}`, partsOf(key));
  }
}

function byKey(listed: readonly Listed[]): Map<string, Listed[]> {
  const found = new Map<string, Listed[]>();
  for (const one of listed) found.set(one.key, [...(found.get(one.key) ?? []), one]);
  return found;
}
