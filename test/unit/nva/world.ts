import { Authority, type Report } from "@nve/nva/authority/authority";
import type { Session } from "@nve/nva/authority/nve-state";
import type { Change, Location, Reported, Step, Tables, Vn } from "@nve/nva/authority/records";
import { createVn } from "@nve/nva/catalogue/decide";
import type { VnWish } from "@nve/nva/catalogue/wish";
import { Instant, IpAddress, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";

export const mac = (n: number): Mac => Mac(`02:00:00:00:00:${n.toString(16).padStart(2, "0")}`);
export const uuid = (n: number): Uuid =>
  Uuid(`00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`);
export const blue = VnId(1);
export const red = VnId(2);
export const holdMs = 120_000;
/** Of a store with nothing in it. */
export const noTables: Tables = {
  vn: [],
  nve: [],
  member: [],
  claim: [],
  binding: [],
  history: [],
  tenant: [],
  profile: [],
  policy: [],
  vnic: [],
};

export const location = (id: string, vtep: string): Location => ({
  nveId: NveId(id),
  vteps: [IpAddress(vtep)],
  encapsulations: ["vxlan"],
});

export const claim = (n: number, more: Partial<Reported> = {}): Reported => ({
  vnId: blue,
  mac: mac(n),
  ips: [],
  sequence: 0,
  sticky: false,
  anycast: false,
  suspended: false,
  ...more,
});

export const vnWish = (alias: string, name: Uuid, more: Partial<VnWish> = {}): VnWish => ({
  alias,
  name,
  fresh: name,
  mtu: 0,
  service: "l2",
  flood: "head-end",
  ...more,
});

export const report = (more: Partial<Report>): Report => ({
  claims: [],
  withdrawn: [],
  joined: [],
  left: [],
  complete: false,
  ...more,
});

/** An authority with a blue and a red VN, its rows kept as a store would. */
export function world() {
  const rows = new Map<string, Change>();
  let authority = new Authority(noTables, holdMs, Instant(0));
  let now = 0;

  function keep<T>(step: Step<T>): Step<T> {
    for (const change of step.changes) {
      if (change.row === undefined) rows.delete(`${change.table} ${change.key}`);
      else rows.set(`${change.table} ${change.key}`, change);
    }
    for (const go of step.later ?? []) keep(go(Instant(now)));
    return step;
  }

  function connect(id: string, vtep: string, incarnation = 1): Session {
    const at = location(id, vtep);
    const { result } = keep(authority.connectNve(at, uuid(incarnation), Instant(now)));
    if ("refused" in result) throw new Error(result.refused);
    return result;
  }

  const vn = (alias: string, vnId: VnId): Vn => {
    const { result } = keep(createVn(authority, vnWish(alias, uuid(vnId), { vnId }), Instant(now)));
    if ("declined" in result) throw new Error(result.reason);
    return result;
  };

  vn("blue", blue);
  vn("red", red);
  return {
    get all() {
      return authority;
    },
    keep,
    connect,
    tell: (session: Session, said: Partial<Report>) =>
      keep(authority.report(session, report(said), Instant(now))),
    lose: (session: Session) => keep(authority.loseNve(session, Instant(now))),
    at(ms: number) {
      now = ms;
      return keep(authority.tick(Instant(now)));
    },
    /** Where blue's (or another VN's) MAC n is, as text. */
    where: (n: number, vnId = blue) =>
      authority
        .mapping(vnId, mac(n))
        ?.locations.map(({ nveId }) => nveId)
        .join("+"),
    sequence: (n: number) => authority.mapping(blue, mac(n))?.sequence,
    /** As after a crash: from what is stored. */
    restart() {
      authority = new Authority(tablesOf(rows.values()), holdMs, Instant(now));
      keep(authority.start(Instant(now)));
    },
  };
}

const revised = <T>(row: T) => ({ row, revision: 1 });

function tablesOf(changes: Iterable<Change>): Tables {
  const all = [...changes];
  const claims = all.flatMap((c) => (c.table === "claim" && c.row ? [c.row] : []));
  return {
    vn: all.flatMap((c) => (c.table === "vn" && c.row ? [{ row: c.row, revision: 1 }] : [])),
    nve: all.flatMap((c) => (c.table === "nve" && c.row ? [c.row] : [])),
    member: all.flatMap((c) => (c.table === "member" && c.row ? [c.row] : [])),
    claim: claims.filter(({ source }) => source !== "static"),
    binding: claims.filter(({ source }) => source === "static").map(revised),
    history: all.flatMap((c) => (c.table === "history" && c.row ? [c.row] : [])),
    tenant: all.flatMap((c) =>
      c.table === "tenant" && c.row ? [{ row: c.row, revision: 1 }] : [],
    ),
    profile: all.flatMap((c) =>
      c.table === "profile" && c.row ? [{ row: c.row, revision: 1 }] : [],
    ),
    policy: all.flatMap((c) =>
      c.table === "policy" && c.row ? [{ row: c.row, revision: 1 }] : [],
    ),
    migration: all.flatMap((c) =>
      c.table === "migration" && c.row ? [{ row: c.row, revision: 1 }] : [],
    ),
    vnic: all.flatMap((c) => (c.table === "vnic" && c.row ? [{ row: c.row, revision: 1 }] : [])),
  };
}
