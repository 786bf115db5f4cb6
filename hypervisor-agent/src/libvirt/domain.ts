import { InterfaceName } from "@nve/program/edge-config";
import { Refused } from "@nve/program/errors";
import { StationMac, VnRef } from "@nve/program/ids";
import { Mac, OutOfRange, prefixesIn, Uuid } from "@nve/protocol-spec";
import { GuestTag } from "../stations/tree.ts";
import type { FileVnic } from "../vms/file.ts";
import { childOf, childrenOf, type Element, readXml } from "./xml.ts";

/** Namespace of what we read in a domain's `<metadata>`. */
export const NAMESPACE = "urn:split-nve:vnics:1";

/** A domain as libvirt tells its hook. */
export type Domain = {
  name: string;
  uuid: Uuid;
  nics: readonly DomainNic[];
  /** What its metadata says; undefined: nothing of ours is in it. */
  vnics: readonly FileVnic[] | undefined;
};

export type DomainNic = {
  mac: Mac;
  /** Known from the operation `start` on. */
  interface: string | undefined;
  /** Of `<virtualport type='802.1Qbg'>` (802.1Q clause 41: VSI manager, type, version and instance). */
  vsi: Vsi | undefined;
};

export type Vsi = { managerId: number; typeId: number; typeVersion: number; instance: Uuid };

/** @throws Refused with what is wrong, and where */
export function readDomain(xml: string): Domain {
  const root = readXml(xml);
  if (root.name !== "domain") throw new Refused(`this is no domain but <${root.name}>`);
  const name = childOf(root, "name")?.text ?? "";
  const nics = childrenOf(childOf(root, "devices"), "interface");
  const ours = childOf(childOf(root, "metadata"), "vnics", NAMESPACE);
  return {
    name,
    uuid: said("domain/uuid", () => Uuid((childOf(root, "uuid")?.text ?? "").trim())),
    nics: nics.flatMap((nic) => nicOf(nic) ?? []),
    vnics: ours && within(ours, "vnic").map(vnicOf),
  };
}

function nicOf(nic: Element): DomainNic | undefined {
  const address = childOf(nic, "mac")?.attributes.get("address");
  if (address === undefined) return undefined;
  const mac = said("interface/mac", () => Mac(address));
  const of = childOf(nic, "target")?.attributes.get("dev");
  return {
    mac,
    interface: of === undefined ? of : said(`interface ${mac}/target`, () => InterfaceName(of)),
    vsi: vsiOf(mac, childOf(nic, "virtualport")),
  };
}

/** @throws Refused for 802.1Qbh, a protocol that nothing here speaks */
function vsiOf(mac: Mac, port: Element | undefined): Vsi | undefined {
  const type = port?.attributes.get("type");
  if (type === "802.1Qbh") {
    throw new Refused(
      `interface ${mac}: virtualport of type 802.1Qbh is not spoken here: use 802.1Qbg, or none`,
    );
  }
  if (type !== "802.1Qbg") return undefined;
  const parameters = childOf(port, "parameters")?.attributes;
  const number = (name: string, max: number): number => {
    const text = parameters?.get(name) ?? "0";
    const n = /^(0x[0-9a-f]{1,6}|\d{1,8})$/i.test(text) ? Number(text) : Number.NaN;
    if (n >= 0 && n <= max) return n;
    throw new Refused(`interface ${mac}: virtualport ${name} "${text}" is not in 0..${max}`);
  };
  const instance = parameters?.get("instanceid");
  if (instance === undefined) {
    throw new Refused(`interface ${mac}: virtualport of type 802.1Qbg has no instanceid`);
  }
  return {
    managerId: number("managerid", 0xff),
    typeId: number("typeid", 0xffffff),
    typeVersion: number("typeidversion", 0xff),
    instance: said(`interface ${mac}/virtualport instanceid`, () => Uuid(instance)),
  };
}

/** In our namespace, or in none: `virsh metadata --set` gives one to the outermost element. */
const within = (element: Element, name: string): Element[] => [
  ...childrenOf(element, name, NAMESPACE),
  ...childrenOf(element, name),
];

function vnicOf(vnic: Element): FileVnic {
  const { attributes } = vnic;
  const [mac, name, uplink] = ["mac", "name", "uplink"].map((key) => attributes.get(key));
  if (mac === undefined) throw new Refused("metadata: a vnic has no mac");
  const at = `metadata, vnic ${mac}`;
  const vns = within(vnic, "vn");
  if (vns.length === 0) throw new Refused(`${at}: it has no vn`);
  return said(at, () => ({
    mac: StationMac(mac),
    ...(name !== undefined && { vnic: Uuid(name) }),
    ...(uplink !== undefined && { uplink: InterfaceName(uplink) }),
    vns: vns.map((vn) => {
      const tag = vn.attributes.get("guest-tag");
      return {
        vn: VnRef(vn.attributes.get("id") ?? vn.attributes.get("name") ?? ""),
        ...(tag !== undefined && { guestTag: GuestTag(Number(tag)) }),
        ips: within(vn, "ip").flatMap(({ text }) => prefixesIn(text.trim())),
      };
    }),
  }));
}

/** @throws Refused that says where */
function said<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    throw new Refused(`${where}: ${error.message}`, { cause: error });
  }
}
