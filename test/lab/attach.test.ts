import { readFileSync } from "node:fs";
import { run } from "@nve/lab/shell";
import {
  decode,
  frameOctets,
  Mac,
  readEcpdu,
  readFrame,
  readVdpdu,
  uint,
  type VdpTlv,
  vsiIdText,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { readPcap } from "../support/pcap.ts";
import { pingFrom, useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const lab = useTwoRacks();

const ecp = "ether proto 0x8940";

test("A9: server and ToR find each other over a plain link with LLDP, and agree on EVB", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  const neighbors = (await lab.show("tor1", "switch-agent", "show", "neighbors")) as object[];
  expect(neighbors).toEqual([
    expect.objectContaining({ port: "eth1", systemName: "srv1" }),
    expect.objectContaining({ port: "eth2", systemName: "srv2" }),
  ]);
  expect(await lab.show("srv3", "hypervisor-agent", "show", "neighbors")).toEqual([
    expect.objectContaining({ uplink: "eth1", systemName: "tor2", portId: "eth1" }),
  ]);
});

test("H1, H9, P1: a server names a VN and is lent a tag, with one ECPDU each way and nothing set up on the switch", async () => {
  expect(await lab.tags("tor1")).toEqual([]);
  const capture = await lab.capture("srv1", "eth1", ecp);
  const red1 = await lab.attach("red1");
  await capture.lines();

  const tag = red1.vns[0]?.tag;
  expect(tag).toBeGreaterThanOrEqual(2);
  expect(await lab.tags("tor1")).toEqual([
    { port: "eth1", tag, vn: VN.red, alias: "red", vnics: 1 },
  ]);
  const [asked, answered, ...more] = requests(capture.path);
  expect(more).toEqual([]);
  expect(associations(asked)).toEqual([
    { type: "associate", entries: [{ groupId: VN.red, mac: vm("red1").mac }] },
  ]);
  expect(associations(answered)).toEqual([
    { type: "associate", entries: [{ groupId: VN.red, mac: vm("red1").mac, vid: tag }] },
  ]);
});

test("H4: VN IDs are on the access link, aliases and VNIs never, and the hypervisor shows neither", async () => {
  const [id, vni, alias] = [10004, 70004, "cochineal"];
  await lab.run("nva", "nva", "vn", "create", alias, "--id", String(id), "--vni", String(vni));
  const capture = await lab.capture("srv2", "eth1");
  const { vnic } = await lab.attach("red2");
  const change = (...words: string[]) =>
    lab.run("srv2", "hypervisor-agent", "vnic", ...words, "--vn", String(id));
  await change("add", vnic, "--mac", "02:00:00:00:00:52");
  expect(await lab.ping("red2", vm("red1").ip)).toBe(true);
  await capture.lines();
  const frames = readPcap(readFileSync(capture.path)).map(({ octets }) => Buffer.from(octets));
  const onTheLink = (octets: Uint8Array) =>
    frames.some((frame) => frame.includes(Buffer.from(octets)));
  expect([VN.red, id].map((id) => onTheLink(uint(3, id)))).toEqual([true, true]);
  expect([VNI.red, vni].map((vni) => onTheLink(uint(3, vni)))).toEqual([false, false]);
  expect(onTheLink(Buffer.from(alias))).toBe(false);
  const status = await lab.show("srv2", "hypervisor-agent", "status");
  const shown = JSON.stringify([await lab.vnics("srv2"), status]);
  expect(shown).toContain(String(id));
  expect(shown).not.toMatch(new RegExp(`${alias}|${vni}|${VNI.red}`));
  await change("remove", vnic);
});

test("A4: two VNICs of one VN on one server share the tag of that VN on that port", async () => {
  const extra = await lab.addVm({
    vm: "red5",
    server: "srv1",
    vn: "red",
    mac: "02:00:00:00:00:05",
    ip: "10.0.1.25",
  });
  const red5 = await lab.attach(extra);
  expect(red5.vns[0]?.tag).toBe((await lab.vnicOf("red1")).vns[0]?.tag);
  expect(await lab.tags("tor1")).toContainEqual(
    expect.objectContaining({ port: "eth1", vn: VN.red, vnics: 2 }),
  );
  expect(await lab.ping("red1", extra.ip)).toBe(true); // on the server
  expect(await pingFrom(`${lab.name}-red5`, vm("red2").ip)).toBe(true); // through the ToR
  await lab.detach(extra);
});

test("H5: the same MAC and IP in two VNs of one server stay apart", async () => {
  await lab.attach("blue1");
  await lab.attach("blue2");
  const [red1, blue1] = [await lab.vnicOf("red1"), await lab.vnicOf("blue1")];
  expect(red1.vns[0]?.macs).toEqual(blue1.vns[0]?.macs);
  const tags = [red1, blue1].map(({ vns }) => vns[0]?.tag ?? 0);
  expect(Math.min(...tags)).toBeGreaterThanOrEqual(2); // both are lent one, at the same time
  expect(new Set(tags).size).toBe(2);

  const seen = await lab.capture("blue2", "eth0", "icmp");
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
  expect(await seen.lines()).toEqual([]);
  expect(await lab.ping("blue1", vm("blue2").ip)).toBe(true);
});

test("H6, H7: a VNIC has several VNs, MACs and IPs, added and removed at any time by one message each", async () => {
  const one = await lab.addVm({
    vm: "many",
    server: "srv1",
    vn: "red",
    mac: "02:00:00:00:00:61",
    ip: "10.0.1.61",
  });
  const { vnic } = await lab.attach(one);
  const change = (what: "add" | "remove", ...words: string[]) =>
    lab.run("srv1", "hypervisor-agent", "vnic", what, vnic, ...words);
  const inOrder = async () =>
    (await lab.fdb("tor1"))
      .filter(({ where, mac }) => where === "local" && mac.startsWith("02:00:00:00:00:6"))
      .map(({ vnId, mac, ips }) => `${vnId} ${mac} ${[...ips].sort().join(" ")}`)
      .sort();
  const capture = await lab.capture("srv1", "eth1", ecp);

  await change(
    "add",
    "--vn",
    String(VN.red),
    "--mac",
    one.mac,
    "--ip",
    "10.0.1.62",
    "--ip",
    "2001:db8::62",
  );
  await change("add", "--vn", String(VN.red), "--mac", "02:00:00:00:00:62", "--ip", "10.0.1.63");
  await change("add", "--vn", String(VN.blue), "--mac", "02:00:00:00:00:63", "--ip", "10.0.1.61");
  expect(await inOrder()).toEqual(
    [
      `${VN.red} ${one.mac} 10.0.1.61 10.0.1.62 2001:db8::62`,
      `${VN.red} 02:00:00:00:00:62 10.0.1.63`,
      `${VN.blue} 02:00:00:00:00:63 10.0.1.61`,
    ].sort(),
  );
  await until("the NVA to know them", async () => {
    const macs = (await lab.mappings()).map(({ mac }) => mac);
    return (macs.includes("02:00:00:00:00:63") && macs.includes("02:00:00:00:00:62")) || undefined;
  });

  // Its second MAC is as good as the first, each with the IP that it has, and its third is in the other VN.
  const eth0 = async (mac: string, ip: string) => {
    const address = ["link set eth0 down", `link set eth0 address ${mac}`, "addr flush dev eth0"];
    for (const words of [...address, `addr add ${ip}/24 dev eth0`, "link set eth0 up"]) {
      await ipIn("many", ...words.split(" "));
    }
  };
  const own = `${lab.name}-many`;
  await eth0("02:00:00:00:00:62", "10.0.1.63");
  expect(await pingFrom(own, vm("red2").ip)).toBe(true);
  const [asking, all] = [
    await lab.capture("blue2", "eth0", "arp and ether broadcast and ether src 02:00:00:00:00:63"),
    await lab.capture("blue2", "eth0", "icmp and ether src 02:00:00:00:00:63"),
  ];
  await eth0("02:00:00:00:00:63", "10.0.1.61");
  expect(await pingFrom(own, vm("blue2").ip)).toBe(true);
  await run("ip", `netns exec ${own} ping -n -b -W1 -c1 10.0.1.255`.split(" ")); // nobody answers
  expect(await asking.lines()).toEqual([]); // the ToR has answered, as it knows blue2
  const lines = await all.lines();
  expect(lines.some((line) => line.includes(`> ${vm("blue2").mac}`))).toBe(true);
  expect(lines.some((line) => line.includes("> ff:ff:ff:ff:ff:ff"))).toBe(true);

  await change("remove", "--vn", String(VN.red), "--mac", one.mac, "--ip", "10.0.1.62");
  expect(await inOrder()).toContain(`${VN.red} ${one.mac} 10.0.1.61 2001:db8::62`);
  await change("remove", "--vn", String(VN.red), "--mac", "02:00:00:00:00:62"); // with its IP
  expect((await inOrder()).filter((row) => row.includes("00:62"))).toEqual([]);
  await change("remove", "--vn", String(VN.red)); // with its MAC and all the IPs of that
  expect(await inOrder()).toEqual([`${VN.blue} 02:00:00:00:00:63 10.0.1.61`]);
  await lab.run("srv1", "hypervisor-agent", "vnic", "detach", vnic);
  expect(await inOrder()).toEqual([]);
  await until(
    "the NVA to forget them",
    async () =>
      (await lab.mappings()).every(({ mac }) => !mac.startsWith("02:00:00:00:00:6")) || undefined,
  );

  await capture.lines();
  // Three added; an IP, a MAC and a VN removed; all gone. Keepalives say the same once more.
  expect(asked(capture.path, vnic)).toEqual([
    "associate 1",
    "associate 2",
    "associate 3",
    "associate 3",
    "associate 2",
    "associate 1",
    "de-associate 1",
  ]);
});

test("H11: a MAC is enough in an L2 VN; IPs are taken where they are given", async () => {
  const one = await lab.addVm({
    vm: "noip",
    server: "srv4",
    vn: "red",
    mac: "02:00:00:00:00:0b",
    ip: "10.0.1.27",
  });
  await lab.attach(one, "--mac", one.mac);
  expect(await pingFrom(`${lab.name}-noip`, vm("red1").ip)).toBe(true);
  const known = (await lab.mappings()).filter(({ vnId }) => vnId === VN.red);
  expect(known).toContainEqual(expect.objectContaining({ mac: one.mac, ips: [] }));
  expect(known).toContainEqual(
    expect.objectContaining({ mac: vm("red1").mac, ips: [vm("red1").ip] }),
  );
  await lab.detach(one);
});

test("A7, H2: with the last VNIC of a VN its tag and all its state are gone from server, switch, dataplane and NVA", async () => {
  const blue = async () => [
    ...(await lab.tags("tor1")).filter(({ vn }) => vn === VN.blue),
    ...(await lab.fdb("tor1")).filter(({ vnId }) => vnId === VN.blue),
    ...(await lab.mappings()).filter(({ vnId }) => vnId === VN.blue),
    ...((await lab.show("tor1", "switch-agent", "show", "vns")) as { vnId: number }[]).filter(
      ({ vnId }) => vnId === VN.blue,
    ),
  ];
  expect((await blue()).length).toBeGreaterThan(0);
  const tag = (await lab.vnicOf("blue1")).vns[0]?.tag ?? 0;
  await lab.detach("blue1");
  expect((await lab.tags("tor1")).filter(({ vn }) => vn === VN.blue)).toHaveLength(1); // blue2's port has it still
  await nothingPasses(tag);
  await lab.detach("blue2");
  await until("no trace of blue", async () => ((await blue()).length === 0 ? true : undefined));
  expect(await lab.ping("blue1", vm("blue2").ip, 1)).toBe(false);
  const nves = (await lab.show("nva", "nva", "nve", "list")) as { vnIds?: number[] }[];
  expect(JSON.stringify(nves)).not.toContain(String(VN.blue));
});

test("P1: a VN goes by one command as it came, when nobody is in it; then nobody can join it", async () => {
  const destroy = (vn: string) => lab.exec("nva", "nva", "vn", "delete", vn);
  expect(await destroy("red")).toMatchObject({ code: 1, stderr: expect.stringMatching(/tor1/) });
  expect(await destroy("blue")).toMatchObject({ code: 0 });
  const refused = await lab.tryAttach("blue1");
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(String(VN.blue)) });
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
});

/** blue1 is detached and blue2 is not: neither dataplane knows blue1's MAC, nor the switch its tag. */
async function nothingPasses(tag: number): Promise<void> {
  const [{ mac: gone }, { mac: there }] = [vm("blue1"), vm("blue2")];
  const frame = (from: string, to: string, vid?: number) =>
    frameOctets({
      destination: Mac(to),
      source: Mac(from),
      ...(vid !== undefined && { tag: { pcp: 0, dei: false, vid } }),
      etherType: 0x88b5,
      payload: new Uint8Array(46),
    });
  const drops = () =>
    Promise.all(["no-such-tag", "unknown-mac"].map((why) => lab.dropped("tor1", why)));
  const before = await drops();
  const [onLink, atBlue2] = [
    await lab.capture("tor1", "eth1", `ether src ${gone}`),
    await lab.capture("blue2", "eth0", `ether src ${gone}`),
  ];
  await lab.send("blue1", "eth0", frame(gone, there));
  await lab.send("srv1", "eth1", frame(gone, there, tag));
  await lab.send("blue2", "eth0", frame(there, gone));
  await until("the switch to drop two", async () => {
    const now = await drops();
    return now.every((count, i) => count > (before[i] ?? 0)) || undefined;
  });
  const sent = (await onLink.lines()).filter((line) => line.includes("0x88b5"));
  expect(sent).toEqual([expect.stringContaining(`vlan ${tag}`)]); // none but the one sent by hand
  expect(await atBlue2.lines()).toEqual([]);
}

async function ipIn(name: string, ...words: string[]): Promise<void> {
  const { code, stderr } = await run("ip", ["-n", `${lab.name}-${name}`, ...words]);
  if (code !== 0) throw new Error(stderr);
}

/** The VDP TLVs of each ECP request of a capture; repeats of one are no new ones. */
function requests(path: string): (readonly VdpTlv[])[] {
  const seen = new Set<string>();
  return readPcap(readFileSync(path)).flatMap(({ octets }) => {
    const frame = decode(octets, readFrame);
    const ecpdu = decode(frame.payload, readEcpdu);
    const key = `${frame.source} ${ecpdu.sequence}`;
    if (ecpdu.op !== "request" || seen.has(key)) return [];
    seen.add(key);
    return [decode(ecpdu.ulpdu, readVdpdu).tlvs];
  });
}

const associations = (tlvs: readonly VdpTlv[] = []) =>
  tlvs.flatMap((tlv) =>
    tlv.is === "association" ? [{ type: tlv.type, entries: tlv.association.filters.entries }] : [],
  );

/** What the station asked for one VNIC, "type entries" each; the same once more is a keepalive. */
function asked(path: string, vnic: string): string[] {
  const all = requests(path).flatMap((tlvs) => {
    const own = tlvs.find(
      (tlv) =>
        tlv.is === "association" &&
        tlv.association.status.is === "request" &&
        vsiIdText(tlv.association.vsiId) === vnic,
    );
    if (own?.is !== "association") return [];
    const { entries } = own.association.filters;
    return [{ text: `${own.type} ${entries.length}`, whole: JSON.stringify(tlvs) }];
  });
  return all.filter(({ whole }, i) => whole !== all[i - 1]?.whole).map(({ text }) => text);
}
