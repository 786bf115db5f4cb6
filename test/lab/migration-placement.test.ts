import { expect, test, vi } from "vitest";
import { isWhole, useMover } from "../support/migration-lab.ts";
import { pingFrom, useTwoRacks, type Vm, vm } from "../support/two-racks.ts";

vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine

// One lab for the file: red1, and somebody on the same ToR and on the other one, in the same VN and in the other one.
const lab = useTwoRacks();
const home = vm("red1");
const mover = useMover(lab, home);
const near = vm("red2");
const far = vm("red4");
/** In blue on tor1, with an address that nobody has in red; blue3 is its like on tor2. */
let foreignNear: Vm;
const foreignFar = vm("blue3");
/** red1 on another port of tor1, and behind tor2. */
let next: Vm;
let away: Vm;

/** Forwarded to those of its VN, and isolated from the others, whatever ToR they are on. */
async function isAsPlaced(at: Vm): Promise<void> {
  for (const partner of [near, far, foreignNear, foreignFar]) {
    const isOwn = partner.vn === at.vn;
    const pair = `${partner.tor === at.tor ? "same" : "other"} ToR, ${isOwn ? "same" : "other"} VN`;
    const heard = await lab.capture(partner.server, partner.interface, `src host ${home.ip}`);
    expect(await pingFrom(mover.nodeOf(at), partner.ip), pair).toBe(isOwn);
    const frames = (await heard.lines()).length;
    expect(frames > 0, `${pair}: what arrives`).toBe(isOwn);
  }
}

/** Two streams go on: from the same ToR, and from the other. */
async function moves(from: Vm, to: Vm): Promise<void> {
  const places = [home, next, away];
  const ends = [
    await mover.streaming(near, places, "7000"),
    await mover.streaming(far, places, "7001"),
  ];
  await mover.prepare(to);
  await mover.say("suspend", from);
  await mover.say("activate", to);
  await lab.detach(from);
  for (const end of ends) {
    isWhole(await end());
  }
  await isAsPlaced(to);
}

test("V6: on the same ToR and on another, in the same VN it is forwarded, in another it is isolated", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  foreignNear = await lab.addVm({
    ...vm("blue2"),
    vm: "blue9",
    mac: "02:00:00:00:00:09",
    ip: "10.0.1.29",
  });
  next = await lab.addVm({ ...home, vm: "red1-srv2", server: "srv2" });
  away = await lab.addVm({ ...home, vm: "red1-srv3", server: "srv3" });
  mover.vnic = (await lab.attach(home)).vnic;
  for (const one of [near, far, foreignNear, foreignFar]) await lab.attach(one);
  await isAsPlaced(home);
});

test("V6, H20: the same after it has moved to another port of its ToR, and nothing is lost on the way", () =>
  moves(home, next));

test("V6, V2: the same after it has moved to another ToR", async () => {
  await moves(next, away);
  await mover.whenIs("completed");
});

test("V6, V2: the same at home again", () => moves(away, home));
