import { Authority, type Report } from "@nve/nva/authority/authority";
import type { ExpectedVnic, Policy, Profile } from "@nve/nva/authority/declared";
import type { Noted } from "@nve/nva/authority/events";
import type { Session } from "@nve/nva/authority/nve-state";
import type { Change, Disconnect, Step, Tables, Vn } from "@nve/nva/authority/records";
import { Instant, Vni } from "@nve/protocol-spec";
import { blue, holdMs, location, noTables, report, uuid } from "./world.ts";

export const blueVn: Vn = {
  vnId: blue,
  name: uuid(0xb1),
  alias: "blue",
  vni: Vni(10_001),
  tenant: "acme",
  service: "l2",
  mtu: 0,
  flood: "head-end",
};

export const policy = (name: string, more: Partial<Policy> = {}): Policy => ({
  name,
  order: 0,
  deny: false,
  vns: [],
  hypervisors: [],
  nves: [],
  ports: [],
  vnics: [],
  stations: [],
  authenticated: false,
  ...more,
});

type Rules = {
  vn?: Partial<Vn>;
  policies?: readonly Policy[];
  vnics?: readonly ExpectedVnic[];
  profile?: Profile;
};

const of = <T>(rows: readonly T[] = []) => rows.map((row) => ({ row, revision: 1 }));

export const tablesOf = ({ vn, policies, vnics, profile }: Rules): Tables => ({
  ...noTables,
  binding: [],
  vn: of([{ ...blueVn, ...(profile && { profile: profile.name }), ...vn }]),
  policy: of(policies),
  vnic: of(vnics),
  profile: of(profile && [profile]),
});

/** An authority with these rules, its steps committed as a keeper would. */
export function ruled(rules: Rules, epochMs = 1_000_000) {
  const rows = new Map<string, Change>();
  const events: Noted[] = [];
  const disconnects: Disconnect[] = [];
  let authority = new Authority(tablesOf(rules), holdMs, Instant(0));
  authority.events.epochMs = epochMs;
  let now = Instant(0);

  function take(step: Step<unknown>): void {
    for (const change of step.changes)
      if (change.row === undefined) rows.delete(`${change.table} ${change.key}`);
      else rows.set(`${change.table} ${change.key}`, change);
    events.push(...(step.events ?? []));
    disconnects.push(...(step.disconnect ?? []));
    if (step.disconnect !== undefined) take(authority.expel(step.disconnect, now).step(undefined));
    for (const go of step.later ?? []) take(go(now));
  }
  function keep<T>(step: Step<T>): T {
    take(step);
    return step.result;
  }
  function rowsOf<T extends Change["table"]>(table: T) {
    type Row = NonNullable<Extract<Change, { table: T }>["row"]>;
    const found = [...rows.values()].filter((change) => change.table === table);
    return found.map(({ row }) => row as unknown as Row);
  }

  return {
    get all() {
      return authority;
    },
    keep,
    events,
    disconnects,
    rowsOf,
    said: (action: string) => events.filter((event) => event.action.startsWith(action)),
    at(ms: number) {
      now = Instant(ms);
      keep(authority.tick(now));
    },
    connect(id: string, vtep: string): Session {
      const session = keep(authority.connectNve(location(id, vtep), uuid(1), now));
      if ("refused" in session) throw new Error(session.refused);
      return session;
    },
    tell: (session: Session, said: Partial<Report>) =>
      keep(authority.report(session, report(said), now)) ?? [],
    /** From what is stored, with other rules. */
    restart(changed: Rules = rules) {
      authority = new Authority(
        {
          ...tablesOf(changed),
          nve: rowsOf("nve"),
          member: rowsOf("member"),
          claim: rowsOf("claim"),
          history: rowsOf("history"),
          duplicate: rowsOf("duplicate"),
        },
        holdMs,
        now,
      );
      authority.events.epochMs = epochMs;
      keep(authority.start(now));
    },
  };
}
