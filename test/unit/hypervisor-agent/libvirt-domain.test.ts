import { NAMESPACE, readDomain } from "@nve/hypervisor-agent/libvirt/domain";
import { readLifecycle, stageAfter } from "@nve/hypervisor-agent/libvirt/lifecycle";
import { vnicsOf } from "@nve/hypervisor-agent/libvirt/plan";
import { MAX_XML } from "@nve/hypervisor-agent/libvirt/xml";
import type { FileVnic } from "@nve/hypervisor-agent/vms/file";
import { StationMac } from "@nve/program/ids";
import { Uuid, VnId } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";

const UUID = "c7a5fdbd-cdaf-9455-926a-d65c16db1809";
const INSTANCE = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f";

type Parts = { metadata?: string; port?: string; target?: string; mac?: string };

/** As libvirt 9 writes a domain, cut to what concerns us and a device more. */
const domain = ({
  metadata = "",
  port = "",
  target = "<target dev='vnet0'/>",
  mac = "52:54:00:00:00:01",
}: Parts = {}): string => `<domain type='qemu' id='1'>
  <name>vm1</name>
  <uuid>${UUID}</uuid>
  <metadata>
    <other:thing xmlns:other="http://example.com/other"><other:vnic mac="nonsense"/></other:thing>
    ${metadata}
  </metadata>
  <memory unit='KiB'>65536</memory>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='ethernet'>
      <mac address='${mac}'/>
      ${target}
      ${port}
      <model type='virtio'/>
    </interface>
    <interface type='user'><model type='virtio'/></interface>
  </devices>
</domain>`;

const ours = (inner: string): string => `<n:vnics xmlns:n="${NAMESPACE}">${inner}</n:vnics>`;
const vnic = (
  more = "",
  vn = "<n:vn id='10001'><n:ip> 10.0.0.1 </n:ip><n:ip>fd00::1</n:ip></n:vn>",
) => ours(`<n:vnic mac='52:54:00:00:00:01' ${more}>${vn}</n:vnic>`);
const qbg = (more = `instanceid='${INSTANCE}'`): string =>
  `<virtualport type='802.1Qbg'><parameters managerid='11' typeid='1193047' typeidversion='2' ${more}/></virtualport>`;

describe("a domain", () => {
  test("with our metadata: its VNICs, with the interfaces that libvirt has made", () => {
    const read = readDomain(domain({ metadata: vnic("uplink='eth1'") }));
    expect(read).toMatchObject({ name: "vm1", uuid: UUID });
    expect(vnicsOf(read, undefined)).toEqual([
      {
        vnic: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab]/),
        interface: "vnet0",
        uplink: "eth1",
        tree: [{ vn: 10001, macs: [{ mac: "52:54:00:00:00:01", ips: ["10.0.0.1", "fd00::1"] }] }],
      },
    ]);
  });

  test("the VNIC Name that is made of UUID and MAC is the same everywhere, and another for another NIC", () => {
    const name = (parts: Parts) => vnicsOf(readDomain(domain(parts)), undefined)[0]?.vnic;
    const here = name({ metadata: vnic() });
    expect(name({ metadata: vnic(), target: "<target dev='vnet7'/>" })).toBe(here);
    const mac = "52:54:00:00:00:02";
    const other = vnic().replace("52:54:00:00:00:01", mac);
    expect(name({ metadata: other, mac })).not.toBe(here);
  });

  test("a trunk VNIC has a VN for each guest tag; VNs by their Names", () => {
    const vns = `<n:vn id='10001' guest-tag='10'/><n:vn name='${UUID}' guest-tag='20'/>`;
    const [read] = vnicsOf(readDomain(domain({ metadata: vnic("", vns) })), undefined);
    expect(read?.tree).toMatchObject([
      { vn: 10001, guestTag: 10 },
      { vn: UUID, guestTag: 20 },
    ]);
  });

  test("as `virsh metadata --set` writes it: the outermost element alone has our namespace", () => {
    const plain = vnic().replaceAll("<n:vn", "<vn").replaceAll("</n:vn", "</vn");
    const metadata = plain.replaceAll("n:ip", "ip").replace("<vnics", "<n:vnics");
    const written = metadata.replace("</vnics", "</n:vnics");
    expect(vnicsOf(readDomain(domain({ metadata: written })), undefined)[0]?.tree).toMatchObject([
      { vn: 10001, macs: [{ ips: ["10.0.0.1", "fd00::1"] }] },
    ]);
  });

  test("802.1Qbg: instanceid is the VNIC Name, and the VSI type is understood", () => {
    const read = readDomain(domain({ metadata: vnic(), port: qbg() }));
    expect(read.nics[0]?.vsi).toEqual({
      managerId: 11,
      typeId: 1193047,
      typeVersion: 2,
      instance: INSTANCE,
    });
    expect(vnicsOf(read, undefined)[0]?.vnic).toBe(INSTANCE);
  });

  test("without metadata a file says what it has; what is in the domain comes first", () => {
    const file: FileVnic[] = [
      {
        mac: StationMac("52:54:00:00:00:01"),
        vnic: Uuid(INSTANCE),
        vns: [{ vn: VnId(7), ips: [] }],
      },
    ];
    expect(vnicsOf(readDomain(domain()), file)).toMatchObject([
      { vnic: INSTANCE, interface: "vnet0", tree: [{ vn: 7 }] },
    ]);
    expect(vnicsOf(readDomain(domain({ metadata: vnic() })), file)[0]?.tree[0]?.vn).toBe(10001);
  });

  test("without either it is none of ours", () => {
    expect(vnicsOf(readDomain(domain()), undefined)).toEqual([]);
  });

  test.each([
    ["802.1Qbh", { port: "<virtualport type='802.1Qbh'/>" }, "802.1Qbh is not spoken here"],
    [
      "no instanceid",
      { port: qbg("") },
      "52:54:00:00:00:01: virtualport of type 802.1Qbg has no instanceid",
    ],
    [
      "a VSI type too large",
      { port: qbg().replace("1193047", "16777216") },
      'typeid "16777216" is not in 0..16777215',
    ],
    ["two VNIC Names", { port: qbg(), metadata: vnic(`name='${UUID}'`) }, "is not the VNIC Name"],
    ["Qbg without a VN", { port: qbg() }, "nothing says its VN"],
    [
      "a MAC that no NIC has",
      { mac: "52:54:00:00:00:09", metadata: vnic() },
      "no interface with MAC 52:54:00:00:00:01 (it has 52:54:00:00:00:09)",
    ],
    ["no VN", { metadata: vnic("", "") }, "metadata, vnic 52:54:00:00:00:01: it has no vn"],
    ["no MAC", { metadata: ours("<n:vnic/>") }, "a vnic has no mac"],
    ["a bad VN ID", { metadata: vnic("", "<n:vn id='0'/>") }, "VN ID 0 is not in"],
    ["a bad IP", { metadata: vnic("", "<n:vn id='1'><n:ip>10.0.0</n:ip></n:vn>") }, "10.0.0"],
    ["a bad guest tag", { metadata: vnic("", "<n:vn id='1' guest-tag='x'/>") }, "guest tag NaN"],
  ])("%s is refused with what is wrong and where", (_, parts, why) => {
    expect(() => vnicsOf(readDomain(domain(parts)), undefined)).toThrow(why);
  });
});

describe("XML", () => {
  test.each([
    ["nothing", "", "document must contain a root element"],
    ["no XML", "hello", "text data outside of root node"],
    ["an element that is not closed", "<domain><name>", "unclosed tag: name"],
    ["another document", "<network/>", "this is no domain but <network>"],
    ["too much", `<domain>${" ".repeat(MAX_XML)}</domain>`, "longer than 1048576"],
    ["too deep", "<a>".repeat(70), "more than 64 deep"],
  ])("%s is refused", (_, text, why) => {
    expect(() => readDomain(text)).toThrow(why);
  });

  test("entities of its own are not expanded, so a few of them are no flood", () => {
    const entities = `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>`;
    expect(() => readDomain(`${entities}<domain><name>&b;</name></domain>`)).toThrow(
      "not understood",
    );
  });
});

describe("libvirt's lifecycle", () => {
  test.each([
    ["event 'lifecycle' for domain 'vm1': Suspended Migrated", "vm1", "suspended"],
    ["event 'lifecycle' for domain vm1: Resumed Migrated", "vm1", "active"],
    ["event 'lifecycle' for domain 'it's: odd': Resumed Unpaused", "it's: odd", "active"],
    ["event 'lifecycle' for domain 'vm1': Suspended Paused", "vm1", undefined],
    ["event 'lifecycle' for domain 'vm1': Started Migrated", "vm1", undefined],
    ["event 'lifecycle' for domain 'vm1': Started Booted", "vm1", "active"],
    ["event 'lifecycle' for domain 'vm1': Suspended Post-copy", "vm1", "suspended"],
    ["event 'lifecycle' for domain 'vm1': Stopped Migrated", "vm1", undefined],
  ])("%s", (line, name, stage) => {
    const event = readLifecycle(line);
    expect(event?.domain).toBe(name);
    expect(event && stageAfter(event)).toBe(stage);
  });

  test.each(["", "events received: 0", "event 'reboot' for domain 'vm1'", "event loop timed out"])(
    "%j is none",
    (line) => expect(readLifecycle(line)).toBeUndefined(),
  );
});
