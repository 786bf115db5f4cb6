import type { Reservation } from "@nve/nva/authority/migrations";
import type { Step } from "@nve/nva/authority/records";
import { Instant, NveId, VnId } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { blue, claim, holdMs, mac, uuid, world } from "./world.ts";

const vnic = uuid(7);
const address = { vnId: blue, mac: mac(1) };
const reservation: Reservation = { vnic, port: "eth1", migrating: true, addresses: [address] };

/** Three NVEs; MAC 1 is of VNIC 7. */
function domain() {
  const all = world();
  const sessions = new Map(
    [1, 2, 3].map((n) => [n, all.connect(`tor${n}`, `10.0.0.${n}`)] as const),
  );
  const session = (n: number) => {
    const found = sessions.get(n);
    if (found === undefined) throw new Error(`no tor${n}`);
    return found;
  };
  const tell = (n: number, said: Parameters<typeof all.tell>[1]) => all.tell(session(n), said);
  return {
    all,
    session,
    tell,
    active: (n: number, more: Parameters<typeof claim>[1] = {}) =>
      tell(n, { claims: [claim(1, { vnic, port: `eth${n}`, ...more })] }),
    gone: (n: number) => tell(n, { withdrawn: [address] }),
    prepared: (n: number) => tell(n, { prepared: [reservation] }),
    unprepared: (n: number) => tell(n, { unprepared: [vnic] }),
    known: () => all.keep(all.all.migrationsKnown([vnic], Instant(0))),
    reconnect: (n: number) => sessions.set(n, all.connect(`tor${n}`, `10.0.0.${n}`, 2)),
    state: () => all.all.migrations.of(vnic)?.is,
    actions: (step: Step<unknown>) => (step.events ?? []).map(({ action }) => action),
  };
}

test("H24: a reservation at another NVE is a migration, and its claim there the switch-over; each is an event", () => {
  const { active, prepared, gone, known, all, state, actions } = domain();
  active(1);
  expect(state()).toBe(undefined);
  expect(actions(prepared(2))).toContain("migration.prepare");
  expect(all.where(1)).toBe("tor1");
  const step = active(2);
  expect(actions(step)).toContain("migration.switch-over");
  expect(step.migrated).toEqual([vnic]);
  expect(all.where(1)).toBe("tor2");
  gone(1);
  known();
  expect(state()).toBe("switched-over");
  expect(actions(all.at(2_000))).toEqual(["migration.complete"]);
});

test("H19: no reservation and no word before: the same VNIC elsewhere is a migration all the same", () => {
  const { active, state, all } = domain();
  active(1);
  active(2);
  expect(state()).toBe("switched-over");
  expect(all.all.migrations.of(vnic)).toMatchObject({ hinted: false });
});

test("another VNIC with the same MAC, a gleaned one, an administrator's: no migration", () => {
  const { active, state } = domain();
  active(1);
  active(2, { vnic: uuid(8) });
  expect(state()).toBe(undefined);
  active(3, { gleaned: true });
  expect(state()).toBe(undefined);
});

test("H21, H22: a de-association is a shutdown, and withdrawn at once; after the S bit it is a departure, and held", () => {
  const { active, gone, all, state } = domain();
  active(1);
  gone(1);
  expect(all.where(1)).toBe(undefined);
  active(1);
  active(1, { suspended: true });
  gone(1);
  expect(all.where(1)).toBe("tor1");
  expect(all.all.mapping(blue, mac(1))).toMatchObject({ suspended: true });
  expect(state()).toBe("held");
  all.at(29_999);
  expect(all.where(1)).toBe("tor1");
  all.at(30_000);
  expect(all.where(1)).toBe(undefined);
  expect(state()).toBe("given-up");
  expect(all.all.nve(NveId("tor1"))).toMatchObject({ claims: 0, ips: 0 });
});

test("H21: held addresses are nobody else's; they go where their VNIC arrives, and the held claim is gone", () => {
  const { active, gone, tell, all, state } = domain();
  active(1, { suspended: true });
  gone(1);
  const { result } = tell(2, { claims: [claim(1, { vnic: uuid(8) })] });
  expect(result?.[0]?.reason).toContain(`held for VNIC ${vnic}`);
  active(2);
  expect(all.where(1)).toBe("tor2");
  expect(state()).toBe("switched-over");
  expect([...all.all.claims(blue)]).toHaveLength(1);
});

test("H21: with a reservation elsewhere the source's de-association is a departure without the S bit too", () => {
  const { active, prepared, gone, all, state } = domain();
  active(1);
  prepared(2);
  gone(1);
  expect(state()).toBe("held");
  expect(all.where(1)).toBe("tor1");
});

test("V1: the destination goes after the switch-over: the source counts again, with a higher sequence", () => {
  const { active, gone, prepared, all, state, known } = domain();
  active(1);
  prepared(2);
  active(2);
  const before = all.sequence(1) ?? 0;
  gone(2);
  expect(all.where(1)).toBe("tor1");
  expect(all.sequence(1)).toBeGreaterThan(before);
  expect(state()).toBe("rolling-back");
  known();
  all.at(2_000);
  expect(state()).toBe("rolled-back");
});

test("V1: it is resumed where it was suspended: rolled back, although the destination claims it still", () => {
  const { active, prepared, all, state } = domain();
  active(1);
  prepared(2);
  active(1, { suspended: true });
  active(2);
  expect(all.where(1)).toBe("tor2");
  active(1);
  expect(all.where(1)).toBe("tor1");
  expect(state()).toBe("rolling-back");
});

test("a reservation that its NVE does not name again is gone with the new session's complete report", () => {
  const { active, prepared, reconnect, tell, state } = domain();
  active(1);
  prepared(2);
  reconnect(2);
  expect(state()).toBe("prepared");
  tell(2, { complete: true });
  expect(state()).toBe("rolled-back");
});

test("one that is named again stays; and that of an NVE which does not come back goes with its hold time", () => {
  const { active, prepared, reconnect, tell, all, session, state } = domain();
  active(1);
  prepared(2);
  reconnect(2);
  tell(2, { prepared: [reservation], complete: true });
  expect(state()).toBe("prepared");
  all.lose(session(2));
  all.at(holdMs);
  expect(state()).toBe("rolled-back");
});

test("a held claim outlives its NVE's sessions, and not its NVE", () => {
  const { active, gone, reconnect, tell, all, session, state } = domain();
  active(1, { suspended: true });
  gone(1);
  reconnect(1);
  tell(1, { complete: true });
  expect(all.where(1)).toBe("tor1");
  all.lose(session(1));
  all.at(25_000);
  expect(state()).toBe("held");
  all.at(holdMs);
  expect(all.where(1)).toBe(undefined);
  expect(all.all.nve(NveId("tor1"))).toBe(undefined);
});

test("V2: another replica goes on with what is stored, and it ends in the same place", () => {
  const { active, prepared, all, state, reconnect, tell, known } = domain();
  active(1);
  prepared(2);
  active(2);
  all.restart();
  expect(state()).toBe("switched-over");
  reconnect(1);
  reconnect(2);
  tell(1, { complete: true });
  tell(2, { claims: [claim(1, { vnic })], complete: true });
  expect(all.where(1)).toBe("tor2");
  known();
  all.at(2_000);
  expect(state()).toBe("completed");
});

test("H21, V2: what the source has let go of while the NVA was away is a departure: held, whoever of both is back first", () => {
  for (const first of [1, 2]) {
    const { active, prepared, all, state, reconnect, tell, known } = domain();
    active(1);
    prepared(2);
    all.restart();
    const back = (n: number) => {
      reconnect(n);
      tell(n, { claims: n === 2 ? [claim(1, { vnic, port: "eth2" })] : [], complete: true });
    };
    back(first);
    expect(state()).toBe(first === 1 ? "held" : "switched-over");
    back(3 - first);
    expect(all.where(1)).toBe("tor2");
    known();
    all.at(2_000);
    expect(state()).toBe("completed");
  }
});

test("H22: what was shut down while the NVA was away is gone with the complete report", () => {
  const { active, all, state, reconnect, tell } = domain();
  active(1);
  all.restart();
  reconnect(1);
  tell(1, { complete: true });
  expect(all.where(1)).toBe(undefined);
  expect(state()).toBe(undefined);
});

test("with its VN its migration is forgotten", () => {
  const { active, prepared, all, state } = domain();
  active(1);
  prepared(2);
  all.all.migrations.forgetVn(VnId(999), Instant(0), all.all.enact([], Instant(0)));
  expect(state()).toBe("prepared");
  all.all.migrations.forgetVn(blue, Instant(0), all.all.enact([], Instant(0)));
  expect(state()).toBe(undefined);
});
