import type { Mapping } from "@nve/protocol-spec/proto/types";
import { modalVn, verdict } from "./admission.ts";
import { Register, type Write } from "./register.ts";
import type { Trace } from "./trace.ts";

/** What a claim says, beside its sequence. */
export type Content = {
  ips: readonly string[];
  vnic: string;
  sticky: boolean;
  anycast: boolean;
  suspended: boolean;
  gleaned: boolean;
};

/** A claim's content as one string, to be compared. */
export const claimText = (c: Content): string => `${mappingText(c)}${c.gleaned ? " gleaned" : ""}`;

/** What of it a mapping shows. */
export const mappingText = ({ ips, vnic, sticky, anycast, suspended }: Omit<Content, "gleaned">) =>
  [
    ips.length > 8 ? `${ips.length} from ${[...ips].sort()[0]}` : [...ips].sort().join(","),
    vnic,
    ...(sticky ? ["sticky"] : []),
    ...(anycast ? ["anycast"] : []),
    ...(suspended ? ["suspended"] : []),
  ].join(" ");

export const wireText = (m: Pick<Mapping, "ips" | "vnic" | "sticky" | "anycast" | "suspended">) =>
  mappingText({
    ips: m.ips.map((octets) => octets.toString("hex")),
    vnic: m.vnic.toString("hex"),
    sticky: m.sticky,
    anycast: m.anycast,
    suspended: m.suspended,
  });

/** What a binding says: a mapping's text, and where. */
export const bindingText = (content: string, nve: string): string => `${content} @${nve}`;
export const staticSource = "static";

export const keyOf = (vn: number, mac: string): string => `${vn}/${mac}`;
export const partsOf = (key: string): { vn: number; mac: string } => {
  const [vn = "", mac = ""] = key.split("/");
  return { vn: Number(vn), mac };
};

/**
 * The VNIC that has an address; of some addresses in VN 3 another at each NVE.
 * @param nve whose it is there
 */
export function vnicOf(key: string, nve = ""): string {
  const { vn, mac } = partsOf(key);
  const number = nve.replace(/\D/g, "");
  return `${String(vn).padStart(8, "0")}${number.padStart(4, "0")}${mac.padStart(20, "0")}`;
}

/** What was told at one moment, to be held against the writes once their revisions are known. */
type Told = { order: number; revision: bigint; check: () => string | undefined; key: string };

/** An address of an NVE that is judged anew; the write is that it is let go of. */
export type Judged = { nve: string; key: string; write: Write };

/** All that was written, by whom and when: what may and what must be there follows from it. */
export class Book {
  readonly #trace: Trace;
  readonly #claims = new Map<string, Map<string, Register>>();
  readonly #members = new Map<string, Register>();
  readonly #vns = new Map<number, Register>();
  readonly #policies = new Map<string, Register>();
  readonly #shapes = new Map<number, Register>();
  readonly #registrations = new Map<string, Register>();
  readonly nves: readonly string[];
  #deletes: { vn: number; write: Write }[] = [];
  #told: Told[] = [];
  #number = 0;
  /** What all watchers were told of one address so far. */
  checks = 0;

  /** @param keys all addresses that there will be: what is done to a VN is done to each of them */
  constructor(trace: Trace, nves: readonly string[], keys: readonly string[]) {
    this.#trace = trace;
    this.nves = nves;
    for (const key of keys) for (const nve of [...nves, staticSource]) this.claim(nve, key);
  }

  claim(nve: string, key: string): Register {
    const ofKey = this.#claims.get(key) ?? new Map<string, Register>();
    this.#claims.set(key, ofKey);
    return got(ofKey, nve);
  }

  member(nve: string, vn: number): Register {
    return got(this.#members, `${nve} ${vn}`);
  }

  vn(vn: number): Register {
    return got(this.#vns, vn);
  }

  /** What a client has bound the address to: what a mapping shows, and the NVE. */
  binding(key: string): Register {
    return this.claim(staticSource, key);
  }

  /** Whether the address may have been bound to anything since all was at rest. */
  mayHaveBeenBound(key: string): boolean {
    const values = this.binding(key).possible(0, this.#trace.now + 1);
    return [...values].some((value) => value !== undefined);
  }

  /** "denied" while a policy keeps all that is at this NVE out of the VN. */
  policy(nve: string, vn: number): Register {
    return got(this.#policies, `${nve} ${vn}`);
  }

  /** What else a VN is put with: who may attach, or what becomes of duplicates. */
  shape(vn: number): Register {
    return got(this.#shapes, vn);
  }

  /** With what the VNIC of this address is registered. */
  registration(key: string): Register {
    return got(this.#registrations, key);
  }

  keys(): IterableIterator<string> {
    return this.#claims.keys();
  }

  /** A write that is under way from now on. */
  begin(register: Register, author: string, value: string | undefined, sent: number): Write {
    this.#number += 1;
    return register.add({ value, sent, author, number: this.#number });
  }

  /** Whether the VN may have been there, and may not have been, at some time since `from`. */
  vnSince(vn: number, from: number): { may: boolean; must: boolean } {
    const values = this.vn(vn).possible(from, this.#trace.now + 1);
    return { may: [...values].some((value) => value !== undefined), must: !values.has(undefined) };
  }

  /** Whether a policy may have kept the NVE out of the VN, and must have all the time, since `from`. */
  deniedSince(nve: string, vn: number, from: number): { may: boolean; must: boolean } {
    const values = this.policy(nve, vn).possible(from, this.#trace.now + 1);
    return { may: values.has("denied"), must: !values.has(undefined) };
  }

  /** A policy keeps an NVE out of a VN: it is let go of all that it has there. @returns the writes that this is */
  beginDeny(nve: string, vn: number, author: string, sent: number): Write[] {
    const writes = [this.begin(this.policy(nve, vn), author, "denied", sent)];
    for (const key of this.keys())
      if (partsOf(key).vn === vn)
        writes.push(this.begin(this.claim(nve, key), author, undefined, sent));
    return writes;
  }

  /** Whether the VN's admission may have let a claim in, and must have all the time, since `from`. */
  admittedSince(key: string, claim: string, from: number): { may: boolean; must: boolean } {
    const { vn } = partsOf(key);
    if (vn !== modalVn) return { may: true, must: true };
    const to = this.#trace.now + 1;
    const [modes, known] = [this.shape(vn), this.registration(key)];
    return verdict(modes.possible(from, to), known.possible(from, to), [claim]);
  }

  /** A claim that may not be let in: then its VNIC is let go of, with what it had. @returns that, where it may be */
  beginRefusal(nve: string, key: string, claim: Write): Write | undefined {
    const { sent, value } = claim;
    const isLetIn =
      this.vnSince(partsOf(key).vn, sent).must &&
      !this.deniedSince(nve, partsOf(key).vn, sent).may &&
      this.admittedSince(key, value ?? "", sent).must;
    return isLetIn
      ? undefined
      : this.claim(nve, key).add({ ...claim, value: undefined, maybe: true });
  }

  /** What is let go of when these addresses are judged anew. @returns the writes that this is */
  beginJudging(keys: Iterable<string>, author: string, sent: number): Judged[] {
    return [...keys].flatMap((key) =>
      this.nves.map((nve) => {
        const write = this.begin(this.claim(nve, key), author, undefined, sent);
        return { nve, key, write };
      }),
    );
  }

  /** They were, by this admission or registration; what is not given may be all that it was since `sent`. */
  judged(all: readonly Judged[], by: { mode?: string; registration?: string | undefined }): void {
    const now = this.#trace.now;
    for (const { nve, key, write } of all) {
      const { sent } = write;
      const claims = this.claim(nve, key).possible(sent, now + 1, write);
      const modes = "mode" in by ? new Set([by.mode]) : this.shape(modalVn).possible(sent, now + 1);
      const known =
        "registration" in by
          ? new Set([by.registration])
          : this.registration(key).possible(sent, now + 1);
      const { may, must } = verdict(
        modes,
        known,
        [...claims].filter((one) => one !== undefined),
      );
      write.ended = now;
      if (must) write.void = true;
      else if (may) write.maybe = true;
    }
  }

  /** Whether what was told at `revision` may be of an earlier life of the VN. */
  mayHaveDied(vn: number, revision: bigint): boolean {
    return this.#deletes.some(
      (one) => one.vn === vn && (one.write.revision ?? revision + 1n) > revision,
    );
  }

  /** The VNs that may have been deleted since this was asked before. */
  takeDied(): number[] {
    const ended = this.#deletes.filter(({ write }) => write.ended !== undefined);
    this.#deletes = this.#deletes.filter(({ write }) => write.ended === undefined);
    return ended.map(({ vn }) => vn);
  }

  /** It was not there to be deleted. */
  wasNotThere(write: Write | undefined): void {
    this.#deletes = this.#deletes.filter((one) => one.write !== write);
  }

  deletedSince(vn: number, order: number): boolean {
    return this.#deletes.some((one) => one.vn === vn && (one.write.ended ?? order) >= order);
  }

  /** A VN is deleted: with it go its members and claims. @returns the writes that this is */
  beginDelete(vn: number, author: string, sent: number): Write[] {
    const gone = this.begin(this.vn(vn), author, undefined, sent);
    this.#deletes.push({ vn, write: gone });
    const writes = [gone];
    for (const [key, ofKey] of this.#claims)
      if (partsOf(key).vn === vn)
        for (const register of ofKey.values())
          writes.push(this.begin(register, author, undefined, sent));
    for (const nve of this.nves)
      writes.push(this.begin(this.member(nve, vn), author, undefined, sent));
    for (const [key, register] of this.#registrations)
      if (partsOf(key).vn === vn) writes.push(this.begin(register, author, undefined, sent));
    return writes;
  }

  /** Somebody was told this mapping, in a state that has all up to `revision`. */
  toldMapping(who: string, mapping: Mapping, revision: bigint): void {
    const key = keyOf(mapping.vnId, mapping.mac.toString("hex"));
    const at = mapping.locations.map(({ nveId }) => nveId);
    const content = wireText(mapping);
    this.#tell(key, revision, (order) => {
      const absent = at.filter((nve) => !this.claim(nve, key).presentAt(order, revision));
      const isSaid = at.some((nve) => {
        const register = this.claim(nve, key);
        return ["", " gleaned"].some((end) => register.readable(content + end, order, revision));
      });
      const bound = bindingText(content, at[0] ?? "");
      if (this.binding(key).readable(bound, order, revision)) return undefined;
      if (absent.length > 0)
        return `${who} holds at revision ${revision} that ${key} is at ${at}: ${absent} had withdrawn it`;
      if (at.length > 0 && isSaid) return undefined;
      return `${who} holds at revision ${revision} that ${key} at ${at} is "${content}": nobody said so, or not of late`;
    });
  }

  /** Somebody was told that nobody has this address. */
  toldNone(who: string, key: string, revision: bigint): void {
    this.#tell(key, revision, (order) => {
      const holds = this.nves.filter(
        (nve) => !this.claim(nve, key).readable(undefined, order, revision),
      );
      if (holds.length === 0) return undefined;
      return `${who} holds at revision ${revision} that nobody has ${key}: the claim of ${holds} was acknowledged before`;
    });
  }

  /** Holds all that was told against what was written. @throws Violation */
  checkTold(): void {
    const told = this.#told;
    this.#told = [];
    for (const { check, key } of told) {
      this.checks += 1;
      const fault = check();
      if (fault !== undefined) throw this.#trace.violation(fault, partsOf(key));
    }
  }

  /** All is certain: what led to it is not looked at again. */
  settle(revision: bigint): void {
    const order = this.#trace.tick();
    const all = [...this.#claims.values()].flatMap((ofKey) => [...ofKey.values()]);
    const ofVns = [this.#vns, this.#shapes].flatMap((map) => [...map.values()]);
    const others = [this.#members, this.#policies, this.#registrations].flatMap((map) => [
      ...map.values(),
    ]);
    for (const register of [...all, ...ofVns, ...others]) {
      const certain = register.certain(order);
      if (certain !== "unsure") register.settle(certain.value, order, revision);
    }
  }

  #tell(key: string, revision: bigint, check: (order: number) => string | undefined): void {
    const order = this.#trace.tick();
    this.#told.push({ order, revision, key, check: () => check(order) });
  }
}

function got<K>(registers: Map<K, Register>, key: K): Register {
  const register = registers.get(key) ?? new Register();
  registers.set(key, register);
  return register;
}
