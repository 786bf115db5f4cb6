import { statSync } from "node:fs";
import { Refused } from "@nve/program/errors";
import { StationMac, VnRef } from "@nve/program/ids";
import { textArgument } from "@nve/program/program";
import type { Mac } from "@nve/protocol-spec/ids";
import { type IpPrefix, prefixesIn } from "@nve/protocol-spec/ip";
import type { TreeNode, VnAttachment, Vnic } from "@nve/protocol-spec/proto/agent";
import type { Command } from "commander";
import { linesOf } from "./lines.ts";

/** Options that name a VN, MACs of it and IPs of one of these: here and in files. */
export type NodeOptions = {
  vn: VnRef;
  mac?: Mac[];
  macFile?: string;
  ip?: IpPrefix[];
  ipFile?: string;
};

export const withNode = (command: Command): Command =>
  command
    .requiredOption(
      "--vn <id|name>",
      "VN ID, 1 to 16777215, or VN Name, a UUID, where the switch knows names",
      textArgument(VnRef),
    )
    .option("--mac <mac>", "MAC address that the VM uses on it; may be repeated", collectedMac)
    .option("--mac-file <path>", "MAC addresses, one on a line; - for the standard input")
    .option(
      "--ip <ip...>",
      "IP addresses, prefixes (10.0.0.0/28) or ranges (10.0.0.5-10.0.0.9) of that MAC",
      collectedIp,
    )
    .option("--ip-file <path>", "the same, one on a line; - for the standard input");

/**
 * A VN with MACs and IPs.
 * @param seen without a MAC the agent takes the one of the interface's other end, if it sees that
 * @throws Refused for what a file holds
 */
export function attachment(
  options: NodeOptions & { guestTag?: number; prepare?: boolean },
  command: Command,
  seen = false,
): VnAttachment {
  const { macs, ips } = namedBy(options, command);
  if (macs.length === 0 && !seen) {
    const why = "it cannot be seen from this end (in the VM: `ip -br link`)";
    command.error(`error: --mac is missing: say the MAC address that the VM uses, ${why}`);
  }
  const { vn, guestTag = 0, prepare } = options;
  const stage = prepare ? { stage: "prepared" } : {};
  const named: readonly string[] = macs.length > 0 ? macs : [""];
  return { ...vnOf(vn), guestTag, ...stage, macs: named.map((mac) => ({ mac, ips })) };
}

/** The same as nodes of the tree, each with all that it contains. @throws Refused for what a file holds */
export function nodes(options: NodeOptions, command: Command): TreeNode[] {
  const { macs, ips } = namedBy(options, command);
  const vn = vnOf(options.vn);
  if (options.ipFile !== undefined && ips.length === 0)
    throw new Refused(`${options.ipFile} names no IP: nothing is removed`);
  if (ips.length > 0 && macs.length === 0)
    command.error("error: --ip needs --mac: whose IP is it?");
  if (macs.length === 0) return [{ ...vn, mac: "", ip: "" }];
  return macs.flatMap((mac) => (ips.length === 0 ? [""] : ips).map((ip) => ({ ...vn, mac, ip })));
}

/**
 * What it takes until a MAC of a VNIC has these IPs and no others.
 * @param vnic as it is now
 */
export function replacement(options: NodeOptions, vnic: Vnic, command: Command) {
  if (options.ip === undefined && options.ipFile === undefined)
    command.error("error: say all the IPs that it shall have, by --ip or --ip-file");
  const { macs, ips } = namedBy(options, command);
  const [mac, ...more] = macs;
  if (mac === undefined || more.length > 0)
    command.error("error: say one --mac: whose IPs are they?");
  const { ipFile } = options;
  if (ips.length === 0 && ipFile !== undefined && !isPlainFile(ipFile)) {
    throw new Refused(
      `${ipFile} names no IP: nothing is replaced; an empty file means none at all`,
    );
  }
  const vn = vnOf(options.vn);
  const now = vnic.vns
    .find(({ vnId, vnName }) => (vn.vnId === 0 ? vnName === vn.vnName : vnId === vn.vnId))
    ?.macs.find((one) => one.mac === mac)?.ips;
  if (now === undefined)
    command.error(`error: the VNIC has no MAC ${mac} in VN ${options.vn}: \`vnic add\` adds one`);
  const [had, wanted] = [new Set<string>(now), new Set<string>(ips)];
  const added = ips.filter((ip) => !had.has(ip));
  const gone = now.filter((ip) => !wanted.has(ip));
  return {
    add: added.length === 0 ? [] : [{ ...vn, guestTag: 0, macs: [{ mac, ips: added }] }],
    remove: gone.map((ip) => ({ ...vn, mac, ip })),
  };
}

/** A pipe that is empty is a command that failed before it. */
const isPlainFile = (path: string): boolean => path !== "-" && statSync(path).isFile();

function namedBy(
  { mac = [], macFile, ip = [], ipFile }: NodeOptions,
  command: Command,
): { macs: Mac[]; ips: IpPrefix[] } {
  if (macFile === "-" && ipFile === "-")
    command.error("error: the standard input is one file: --mac-file or --ip-file");
  const macs =
    macFile === undefined ? mac : [...mac, ...linesOf(macFile, (text) => [StationMac(text)])];
  const ips = ipFile === undefined ? ip : [...ip, ...linesOf(ipFile, prefixesIn)];
  if (macFile !== undefined && macs.length === 0) throw new Refused(`${macFile} names no MAC`);
  if (macs.length > 1 && ips.length > 0)
    command.error(`error: ${macs.length} MACs and --ip: whose IPs are they? One MAC at a time`);
  return { macs: [...new Set(macs)], ips: [...new Set(ips)] };
}

const vnOf = (vn: VnRef) =>
  typeof vn === "number" ? { vnId: vn, vnName: "" } : { vnId: 0, vnName: vn };

const collectedMac = (text: string, before: Mac[] = []): Mac[] => [
  ...before,
  textArgument(StationMac)(text),
];

const collectedIp = (text: string, before: IpPrefix[] = []): IpPrefix[] => [
  ...before,
  ...textArgument(prefixesIn)(text),
];
