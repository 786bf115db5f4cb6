import { rmSync } from "node:fs";
import { join } from "node:path";
import { Mac, Uuid } from "@nve/protocol-spec";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { policyLab, vdpFrame, vdpIn } from "../support/policy-lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// One lab for the file; each access port is guarded in its own way. The tests go in this order.
const folder = policyLab();
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
const programs = labPrograms(lab);
afterAll(() => rmSync(folder, { recursive: true }));

const stranger = Mac("02:00:00:00:ee:ee");
const nobody = Uuid("00000000-0000-4000-8000-00000000eeee");

type Counted = { interface: string; counters: Record<string, number> };
async function counted(tor: string, port: string, counter: string): Promise<number> {
  const ports = (await lab.show(tor, "switch-agent", "show", "ports")) as Counted[];
  return ports.find((one) => one.interface === port)?.counters[counter] ?? 0;
}
const untilCounted = (tor: string, port: string, counter: string, least: number) =>
  until(`${counter} of ${tor} ${port}`, async () => {
    const n = await counted(tor, port, counter);
    return n >= least ? n : undefined;
  });

/** `vnic <words>` of a server, which may refuse. */
const vnic = (server: string, ...words: string[]) =>
  lab.exec(server, "hypervisor-agent", "vnic", ...words);
const red = ["--vn", String(VN.red)];
const tagsOf = async (tor: string, port: string) =>
  (await lab.tags(tor)).filter((tag) => tag.port === port);

beforeAll(async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
});

test("H26: a VN, a MAC and an IP that a port's policy does not allow are refused in words, and nothing is lent", async () => {
  const refused = [
    [await lab.tryAttach("blue1"), "VN 10002 is not allowed on this port", "(VDP error 5)"],
    [
      await lab.tryAttach("red1", "--mac", "02:00:00:00:00:10"),
      "MAC 02:00:00:00:00:10 is not allowed on this port",
      "(VDP error 5)",
    ],
    [
      await lab.tryAttach("red1", "--ip", "192.0.2.1"),
      "IP 192.0.2.1 is not allowed on this port",
      "(VDP error 4)",
    ],
  ] as const;
  for (const [{ code, stderr }, ...says] of refused) {
    expect(code).toBe(1);
    for (const words of says) expect(stderr).toContain(words);
  }
  expect(await tagsOf("tor1", "eth1")).toEqual([]);
  expect(await lab.refusals("tor1")).toMatchObject([
    { port: "eth1", vnId: VN.red, code: 4 },
    { port: "eth1", vnId: VN.red, code: 5 },
    { port: "eth1", vnId: VN.blue, code: 5 },
  ]);
  for (const what of ["vn", "mac", "ip"])
    expect(await counted("tor1", "eth1", `refused.${what}`)).toBe(1);
});

test("H26: too many VNICs, MACs and addresses for a port are refused, and what is there stays", async () => {
  await lab.attach("red1");
  const tap = vm("red1").interface;
  const second = await vnic(
    "srv1",
    "attach",
    vm("blue1").interface,
    ...red,
    "--mac",
    "02:00:00:00:00:0e",
  );
  expect([second.code, second.stderr]).toEqual([1, expect.stringContaining("has its 1 VNICs")]);
  const add = (...words: string[]) => vnic("srv1", "add", tap, ...red, ...words);
  expect((await add("--mac", "02:00:00:00:00:0e")).code).toBe(0);
  const third = await add("--mac", "02:00:00:00:00:0f");
  expect([third.code, third.stderr]).toEqual([
    1,
    expect.stringContaining("this port takes 2 (maxMacs)"),
  ]);
  expect((await add("--mac", vm("red1").mac, "--ip", "10.0.1.31")).code).toBe(0);
  const more = await add("--mac", vm("red1").mac, "--ip", "10.0.1.32");
  expect([more.code, more.stderr]).toEqual([1, expect.stringContaining("takes 2 (maxAddresses)")]);
  const [{ macs } = { macs: [] }] = (await lab.vnicOf("red1")).vns;
  expect(macs.map(({ mac, ips }) => [mac, ips.length])).toEqual([
    [vm("red1").mac, 2],
    ["02:00:00:00:00:0e", 0],
  ]);
  expect(await lab.fdb("tor1")).toHaveLength(2);
});

test("H26: a station that is not allowed is counted, and told once in a second at most", async () => {
  const capture = await lab.capture("srv2", "eth1", "ether proto 0x8940");
  const begun = performance.now();
  for (const n of [1, 2, 3, 4, 5]) {
    const mac = Mac("02:00:00:00:00:77");
    await lab.send(
      "srv2",
      "eth1",
      vdpFrame(stranger, 40_000 + n, "associate", nobody, VN.red, mac),
    );
    expect(await untilCounted("tor1", "eth2", "refused.station", n)).toBe(n);
  }
  const seconds = (performance.now() - begun) / 1000;
  expect(await lab.refusals("tor1")).toContainEqual(
    expect.objectContaining({ port: "eth2", vnic: nobody, code: 4 }),
  );
  await capture.lines();
  const told = vdpIn(capture.path).filter(({ source }) => source !== stranger);
  const statuses = told.flatMap((one) => one.statuses);
  expect(statuses[0]).toEqual({ is: "response", keep: false, hard: true, code: 4 });
  expect(statuses.length).toBeLessThanOrEqual(1 + seconds);
  expect(await tagsOf("tor1", "eth2")).toEqual([]);
  await lab.attach("red2");
  expect(await lab.ping("red2", vm("red1").ip)).toBe(true);
});

test("H26: a VNIC does not change hands: another's De-Associate is counted, and no more", async () => {
  const { vnic } = await lab.vnicOf("red1");
  const steal = vdpFrame(
    stranger,
    41_001,
    "de-associate",
    vnic as Uuid,
    VN.red,
    Mac(vm("red1").mac),
  );
  await lab.send("srv1", "eth1", steal);
  expect(await untilCounted("tor1", "eth1", "refused.owner", 1)).toBe(1);
  expect(await lab.ping("red2", vm("red1").ip)).toBe(true);
  expect((await lab.vnicOf("red1")).state).toBe("associated");
});

test("H26: a MAC that another VNIC of this NVE has in use is not taken, and is free when that one has gone", async () => {
  await lab.detach("red2");
  const take = () => vnic("srv2", "attach", vm("blue2").interface, ...red, "--mac", vm("red1").mac);
  const stolen = await take();
  expect(stolen.code).toBe(1);
  expect(stolen.stderr).toContain(
    `MAC ${vm("red1").mac} of VN ${VN.red} is in use by another VNIC`,
  );
  const [refusal] = await lab.refusals("tor1");
  expect(refusal?.reason).toContain("on port eth1"); // for the switch's own operator
  expect(stolen.stderr).not.toContain("eth1 ");
  await lab.attach("red2");
  expect(await lab.ping("red2", vm("red1").ip)).toBe(true);
  await lab.detach("red1");
  expect((await take()).code).toBe(0);
  await vnic("srv2", "detach", vm("blue2").interface);
  await lab.attach("red1");
});

test("Req-11, H26: a server and a switch that have the same key prove it to each other, and traffic flows", async () => {
  await lab.attach("red4");
  const vnics = (await lab.show("tor2", "switch-agent", "show", "vnics")) as object[];
  expect(vnics).toMatchObject([{ port: "eth2", authenticated: true }]);
  expect(await counted("tor2", "eth2", "auth.proven")).toBeGreaterThan(0);
  const capture = await lab.capture("srv4", "eth1", "ether proto 0x8940");
  expect(
    (await vnic("srv4", "add", vm("red4").interface, ...red, "--mac", "02:00:00:00:00:4e")).code,
  ).toBe(0);
  await capture.lines();
  const all = vdpIn(capture.path);
  expect(new Set(all.map(({ source }) => source)).size, "both sides").toBe(2);
  expect(all.every(({ isSealed }) => isSealed)).toBe(true);
  expect(await lab.ping("red4", vm("red2").ip)).toBe(true);
  const rows = (await lab.show("srv4", "hypervisor-agent", "show", "counters")) as {
    counter: string;
    value: number;
  }[];
  const proven = rows.find(({ counter }) => counter === "auth.proven");
  expect(proven?.value, "the switch has proven itself, too").toBeGreaterThan(0);
  expect(rows.find(({ counter }) => counter === "auth.missing")?.value ?? 0).toBe(0);
});

test("Req-11, H26: a server with another key does not attach, and is not answered", async () => {
  const capture = await lab.capture("srv3", "eth1", "ether proto 0x8940");
  const outcome = await lab.tryAttach("red3", "--timeout", "2");
  expect(outcome.code).toBe(1);
  await untilCounted("tor2", "eth1", "auth.bad", 1);
  await capture.lines();
  const statuses = vdpIn(capture.path).flatMap((one) => one.statuses);
  expect(statuses.filter(({ is }) => is === "response")).toEqual([]);
  expect(await tagsOf("tor2", "eth1")).toEqual([]);
});

test("Req-11, H26: frames without a seal do not count, and captured frames that are sent again are replays", async () => {
  const mac = Mac(vm("red4").mac);
  await lab.detach("red4");
  const capture = await lab.capture("srv4", "eth1", "ether proto 0x8940");
  await lab.attach("red4");
  await lab.detach("red4");
  await capture.lines();
  const asked = vdpIn(capture.path).filter(({ statuses }) =>
    statuses.some(({ is }) => is === "request"),
  );
  const [associate] = asked;
  if (associate === undefined) throw new Error("no request was captured");
  expect(asked.length).toBeGreaterThanOrEqual(2); // Associate, De-Associate
  await lab.send("srv4", "eth1", associate.frame);
  await untilCounted("tor2", "eth2", "auth.replayed", 1);
  const bare = vdpFrame(associate.source, 42_001, "associate", nobody, VN.red, mac);
  await lab.send("srv4", "eth1", bare);
  await untilCounted("tor2", "eth2", "auth.missing", 1);
  expect(await tagsOf("tor2", "eth2")).toEqual([]);
  expect(await lab.show("tor2", "switch-agent", "show", "vnics")).toEqual([]);
  await lab.attach("red4"); // the right one is heard as ever
  expect(await lab.ping("red4", vm("red2").ip)).toBe(true);
});

test("Req-11, H26: both agents are started anew, and are believed again", async () => {
  await programs.stop("tor2");
  await programs.start("tor2");
  await lab.ready("srv4");
  await until(
    "red4 to be reached again",
    async () => (await lab.ping("red2", vm("red4").ip, 1)) || undefined,
    15_000,
  );
  await programs.stop("srv4");
  await programs.start("srv4");
  await lab.ready("srv4");
  await lab.attach("red4");
  expect(await lab.ping("red4", vm("red2").ip)).toBe(true);
});

test("H26: while the NVA is away a change that needs it is refused with KEEP, and what was before stays", async () => {
  await programs.stop("nva");
  await until("tor1 to notice", async () => {
    const { nvaState } = (await lab.show("tor1", "switch-agent", "status")) as { nvaState: string };
    return nvaState !== "connected" || undefined;
  });
  const capture = await lab.capture("srv2", "eth1", "ether proto 0x8940");
  const words = ["--vn", String(VN.blue), "--mac", "02:00:00:00:00:5b"];
  const outcome = await vnic("srv2", "add", vm("red2").interface, ...words);
  expect(outcome.code).toBe(1);
  expect(outcome.stderr).toContain("(VDP error 3)");
  await capture.lines();
  const statuses = vdpIn(capture.path).flatMap((one) => one.statuses);
  expect(statuses).toContainEqual({ is: "response", keep: true, hard: false, code: 3 });
  expect((await lab.vnicOf("red2")).state).toBe("associated");
  expect(await lab.ping("red2", vm("red1").ip)).toBe(true);
});
