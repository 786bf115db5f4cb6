import {
  type Filters,
  Instant,
  IpAddress,
  Mac,
  NveId,
  type Uuid,
  Uuid as uuid,
  type Vid,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import {
  type Ask,
  allTags,
  type Fixed,
  type Intent,
  intentKey,
  NveCore,
  type NveEffect,
  type NveEvent,
  type PortOptions,
  type Refusal,
  type TagRange,
  type Verdict,
} from "@nve/switch-agent/nve";

export const red = VnId(5001);
export const blue = VnId(5002);
export const a = Mac("02:00:00:00:00:0a");
export const b = Mac("02:00:00:00:00:0b");
export const tor2 = { nve: NveId("tor2"), vtep: IpAddress("192.0.2.2") };

export const vniOf = (vn: VnId): Vni => Vni(vn + 2000);
export const infoOf = (vn: VnId) => ({ vn, vni: vniOf(vn), alias: `vn-${vn}` });

export const port = (
  name: string,
  more: { tags?: TagRange; maxVnics?: number } = {},
): PortOptions => ({
  name,
  tags: allTags,
  maxVnics: 4096,
  ...more,
});

export const groups = (...entries: [VnId, Mac, Vid?][]): Filters => ({
  by: "group-mac-vid",
  entries: entries.map(([groupId, mac, vid]) => ({
    groupId,
    mac,
    ...(vid === undefined ? {} : { vid }),
  })),
});

/** A core, with a dataplane and an NVA that say yes unless the test says otherwise. */
export class Bench {
  readonly core: NveCore;
  readonly applied = new Map<string, Intent>();
  readonly claims = new Map<string, Extract<NveEffect, { do: "report" }>["claims"][number]>();
  readonly joined = new Set<VnId>();
  readonly watched = new Set<VnId>();
  effects: NveEffect[] = [];
  now = Instant(0);
  /** What the NVA says to a VN. */
  verdict: (vn: VnId) => Verdict = (vn) => ({ is: "granted", info: infoOf(vn) });
  /** Why the dataplane says no. */
  fault: string | undefined;

  constructor(...ports: PortOptions[]) {
    this.core = new NveCore(ports);
  }

  /** @returns the effects of this event and of the answers to it */
  feed(event: NveEvent): readonly NveEffect[] {
    this.effects = [];
    const events = [event];
    for (let next = events.shift(); next !== undefined; next = events.shift()) {
      for (const effect of this.core.step(next, this.now)) {
        this.effects.push(effect);
        events.push(...this.#answer(effect));
      }
    }
    return this.effects;
  }

  ask(
    vsi: string,
    where: string,
    filters: Filters | Fixed,
    more: Partial<Ask> = {},
  ): readonly NveEffect[] {
    return this.feed({
      on: "ask",
      ask: {
        vsi,
        port: where,
        vnic: vnicOf(vsi),
        station: Mac("52:54:00:aa:00:01"),
        hypervisor: "server1",
        mode: "associate",
        suspended: false,
        filters,
        ...more,
      },
    });
  }

  release(vsi: string): readonly NveEffect[] {
    return this.feed({ on: "release", vsi, why: "de-associated" });
  }

  get granted(): Filters | undefined {
    const filters = this.#only("grant")?.filters;
    return filters?.by === "fixed" ? undefined : filters;
  }

  get refused(): Refusal | undefined {
    return this.#only("refuse")?.refusal;
  }

  get intents(): Intent[] {
    return [...this.applied.values()];
  }

  tags(): (Vid | undefined)[] {
    return this.granted?.entries.map(({ vid }) => vid) ?? [];
  }

  did<D extends NveEffect["do"]>(what: D): Extract<NveEffect, { do: D }>[] {
    return this.effects.filter(
      (effect): effect is Extract<NveEffect, { do: D }> => effect.do === what,
    );
  }

  #only<D extends NveEffect["do"]>(what: D): Extract<NveEffect, { do: D }> | undefined {
    const all = this.did(what);
    if (all.length > 1) throw new Error(`${what} happened ${all.length} times`);
    return all[0];
  }

  #answer(effect: NveEffect): NveEvent[] {
    switch (effect.do) {
      case "admit": {
        const verdicts = new Map(effect.vns.map((vn) => [vn, this.verdict(vn)]));
        return [{ on: "verdicts", vsi: effect.ask.vsi, serial: effect.serial, verdicts }];
      }
      case "intents":
        return this.#apply(effect);
      case "watch":
        for (const vn of effect.vns) this.watched.add(vn);
        return [];
      case "unwatch":
        for (const vn of effect.vns) this.watched.delete(vn);
        return [];
      case "report":
        for (const claim of effect.claims) this.claims.set(`${claim.vn} ${claim.mac}`, claim);
        for (const { vn, mac } of effect.withdrawn) this.claims.delete(`${vn} ${mac}`);
        for (const vn of effect.joined) this.joined.add(vn);
        for (const vn of effect.left) this.joined.delete(vn);
        return [];
      default:
        return [];
    }
  }

  #apply({ change, owners }: Extract<NveEffect, { do: "intents" }>): NveEvent[] {
    const [owner] = owners;
    const { fault } = this;
    if (fault !== undefined && owner !== undefined) {
      return owners.map((one) => ({ on: "unapplied", ...one, reason: fault }));
    }
    for (const intent of change.ensure) this.applied.set(intentKey(intent), intent);
    for (const intent of change.remove) this.applied.delete(intentKey(intent));
    return owners.map((one) => ({ on: "applied", ...one }));
  }
}

export const vnicOf = (vsi: string): Uuid =>
  uuid(`00000000-0000-4000-8000-${Buffer.from(vsi.padEnd(6, "-").slice(0, 6)).toString("hex")}`);
