import { isIP } from "node:net";
import { Refused } from "@nve/program/errors";
import { StationMac } from "@nve/program/ids";
import type { Topology, TopologyNode } from "../topology.ts";

/** A real VM of a lab: label `nve.vm.<name>` of the server on which it begins. */
export type Vm = {
  name: string;
  /** Where it begins: a node of the topology. */
  server: string;
  mac: string;
  /** With their lengths: `10.0.1.21/24`. */
  addresses: readonly string[];
  memoryMb: number;
};

/** The VM's tap on the server that it is on. */
export const tapOf = (vm: string): string => `tap-${vm}`;

const PREFIX = "nve.vm.";
/** So that `tap-<vm>` is an interface's name. */
const nameRule = /^[a-z][a-z0-9-]{0,10}$/;
/** The guest's kernel does not come up with less. */
const LEAST_MB = 64;
const MOST_MB = 4096;

/** The VMs that a topology declares. @throws Refused with the label and what is wrong with it */
export function declaredVms(topology: Topology): readonly Vm[] {
  const all = topology.nodes.flatMap(vmsOf);
  for (const [at, vm] of all.entries()) {
    const twin = all.slice(0, at).find(({ name }) => name === vm.name);
    if (twin !== undefined)
      throw new Refused(`VM ${vm.name} is declared on ${twin.server} and on ${vm.server}`);
  }
  return all;
}

const vmsOf = ({ name: server, labels }: TopologyNode): Vm[] =>
  Object.entries(labels)
    .filter(([label]) => label.startsWith(PREFIX))
    .map(([label, value]) => vmOf(server, label.slice(PREFIX.length), value));

/** @param words of the label: `mac=02:00:00:00:00:01 ip=10.0.1.21/24 memory=96`; several addresses with commas */
export function vmOf(server: string, name: string, words: string): Vm {
  const wrong = (why: string) => new Refused(`${server}: label ${PREFIX}${name}: ${why}`);
  if (!nameRule.test(name))
    throw wrong("a VM's name is 1 to 11 small letters, digits and hyphens, a letter first");
  const told = new Map<string, string>();
  for (const word of words.split(/\s+/).filter((one) => one !== "")) {
    const [key = "", value = ""] = word.split(/=(.*)/s);
    if (!["mac", "ip", "memory"].includes(key) || value === "")
      throw wrong(`"${word}" is not mac=, ip= or memory=`);
    if (told.has(key)) throw wrong(`${key}= stands there twice`);
    told.set(key, value);
  }
  const memoryMb = Number(told.get("memory") ?? 96);
  if (!Number.isInteger(memoryMb) || memoryMb < LEAST_MB || memoryMb > MOST_MB)
    throw wrong(`memory=${told.get("memory")} is not ${LEAST_MB} to ${MOST_MB} MB`);
  const addresses = (told.get("ip") ?? "").split(",");
  const bad = addresses.find((address) => !isWithLength(address));
  if (bad !== undefined) throw wrong(`ip=${bad} is not an address with its length, 10.0.1.21/24`);
  return { name, server, mac: macIn(told.get("mac"), wrong), addresses, memoryMb };
}

function macIn(mac: string | undefined, wrong: (why: string) => Refused): string {
  try {
    if (mac !== undefined) return StationMac(mac);
  } catch {
    // Said below.
  }
  throw wrong(`mac=${mac ?? ""} is no MAC address of a station`);
}

function isWithLength(address: string): boolean {
  const [ip = "", length = "", ...more] = address.split("/");
  const most = { 4: 32, 6: 128 }[isIP(ip)];
  return (
    most !== undefined && more.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= most
  );
}
