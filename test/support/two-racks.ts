import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Outcome, run } from "@nve/lab/shell";
import { namespaceOf } from "@nve/lab/topology";
import { afterAll } from "vitest";
import { type TestLab, until, useLab } from "./lab.ts";

/** A VM of lab/two-racks, or one that a test has added. */
export type Vm = {
  vm: string;
  server: string;
  tor: string;
  vn: "red" | "blue";
  interface: string;
  mac: string;
  ip: string;
};

// Of what the agents show with --json, what the tests look at.
export type Vnic = {
  vnic: string;
  interface: string;
  state: string;
  reason: string;
  vns: { vnId: number; tag: number; macs: { mac: string; ips: string[] }[] }[];
};
export type FdbRow = {
  vnId: number;
  vni: number;
  mac: string;
  ips: string[];
  where: "local" | "remote";
  port: string;
  tag: number;
  vtep: string;
  nveId: string;
  applied: boolean;
  moved: boolean;
};
export type TagRow = { port: string; tag: number; vn: number; vnics: number };
export type MappingRow = {
  vnId: number;
  mac: string;
  ips: string[];
  locations: { nve: string; vteps: string[] }[];
};
export type CountRow = { where: string; counter: string; value: number };
export type RefusalRow = { port: string; vnId: number; code: number; reason: string };

export const VN = { red: 10001, blue: 10002 } as const;
export const VNI = { red: 70001, blue: 70002 } as const;

const expected: { vms: Vm[] } = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../lab/two-racks/expect.json"), "utf8"),
);

const sender = join(import.meta.dirname, "send-frames.mjs");
const datagramSender = join(import.meta.dirname, "send-datagrams.mjs");

/** `red1`, `blue4` … */
export function vm(name: string): Vm {
  const found = expected.vms.find((one) => one.vm === name);
  if (found === undefined) throw new Error(`lab/two-racks has no VM ${name}`);
  return found;
}

type TwoRacks = TestLab & {
  /** Makes the two VNs, as lab/two-racks/expect.json has them. */
  createVns(): Promise<void>;
  /** Waits until a server and its ToR have agreed on EVB. */
  ready(...servers: string[]): Promise<void>;
  attach(who: Vm | string, ...more: string[]): Promise<Vnic>;
  /** The same, and what it says when it is refused is the outcome. */
  tryAttach(who: Vm | string, ...more: string[]): Promise<Outcome>;
  detach(who: Vm | string): Promise<void>;
  vnics(server: string): Promise<Vnic[]>;
  vnicOf(who: Vm | string): Promise<Vnic>;
  fdb(tor: string): Promise<FdbRow[]>;
  tags(tor: string): Promise<TagRow[]>;
  mappings(): Promise<MappingRow[]>;
  dropped(tor: string, reason: string): Promise<number>;
  refusals(tor: string): Promise<RefusalRow[]>;
  /** Sends frames as they are, hex digits, out of an interface of a node. */
  send(node: string, port: string, ...frames: Uint8Array[]): Promise<void>;
  /** Sends UDP datagrams to a port of an address. */
  sendUdp(node: string, address: string, port: number, ...datagrams: Uint8Array[]): Promise<void>;
  /** A VM that the topology file does not have: a namespace with eth0, and its tap on the server. */
  addVm(one: Omit<Vm, "interface" | "tor">): Promise<Vm>;
};

/** @param topology a copy of lab/two-racks with other configs, as the path of its topology file */
export function useTwoRacks(topology = "two-racks"): TwoRacks {
  const lab = useLab(topology);
  const added: string[] = [];
  afterAll(async () => {
    for (const namespace of added) await run("ip", ["netns", "del", namespace]);
  });
  const rows = async <T>(node: string, ...command: string[]) =>
    (await lab.show(node, ...command)) as T[];
  const known = (who: Vm | string): Vm => (typeof who === "string" ? vm(who) : who);

  const attachWords = (one: Vm, more: readonly string[]) => {
    const words = ["hypervisor-agent", "vnic", "attach", one.interface];
    const node = ["--vn", String(VN[one.vn]), "--mac", one.mac];
    return [
      ...words,
      ...(more.includes("--mac") ? ["--vn", String(VN[one.vn])] : [...node, "--ip", one.ip]),
      ...more,
    ];
  };
  const vnics = (server: string) => rows<Vnic>(server, "hypervisor-agent", "vnic", "list");

  return {
    ...lab,
    createVns: async () => {
      for (const name of ["red", "blue"] as const) {
        const words = ["--id", String(VN[name]), "--vni", String(VNI[name])];
        await lab.run("nva", "nva", "vn", "create", name, ...words);
      }
    },
    ready: async (...servers) => {
      for (const server of servers) {
        await until(`${server} to hear its switch`, async () => {
          const uplinks = await rows<{ evb: boolean }>(
            server,
            "hypervisor-agent",
            "show",
            "uplinks",
          );
          return uplinks.every(({ evb }) => evb) || undefined;
        });
      }
    },
    attach: async (who, ...more) => {
      const one = known(who);
      await lab.run(one.server, ...attachWords(one, more));
      return vnicIn(await vnics(one.server), one);
    },
    tryAttach: (who, ...more) => lab.exec(known(who).server, ...attachWords(known(who), more)),
    detach: async (who) => {
      const one = known(who);
      await lab.run(one.server, "hypervisor-agent", "vnic", "detach", one.interface);
    },
    vnics,
    vnicOf: async (who) => vnicIn(await vnics(known(who).server), known(who)),
    fdb: (tor) => rows<FdbRow>(tor, "switch-agent", "show", "fdb"),
    tags: (tor) => rows<TagRow>(tor, "switch-agent", "show", "tags"),
    mappings: () => rows<MappingRow>("nva", "nva", "mapping", "list"),
    dropped: async (tor, reason) => {
      const { drops } = (await lab.show(tor, "switch-agent", "show", "counters")) as {
        drops: Record<string, number>;
      };
      return drops[reason] ?? 0;
    },
    refusals: (tor) => rows<RefusalRow>(tor, "switch-agent", "show", "refusals"),
    send: async (node, port, ...frames) => {
      await lab.run(node, process.execPath, sender, port, ...frames.map(hex));
    },
    sendUdp: async (node, address, port, ...datagrams) => {
      const to = [address, String(port)];
      await lab.run(node, process.execPath, datagramSender, ...to, ...datagrams.map(hex));
    },
    addVm: async (one) => {
      const made = {
        ...one,
        tor: vm(one.server.replace("srv", "red")).tor,
        interface: `tap-${one.vm}`,
      };
      const own = namespaceOf(lab.name, one.vm);
      const ip = async (...words: string[]) => {
        const { code, stderr } = await run("ip", words);
        if (code !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`);
      };
      await ip("netns", "add", own);
      added.push(own);
      const server = namespaceOf(lab.name, one.server);
      await ip(
        "link",
        "add",
        made.interface,
        "netns",
        server,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        own,
      );
      await ip("-n", server, "link", "set", made.interface, "up");
      await ip("-n", own, "link", "set", "eth0", "address", one.mac);
      await ip("-n", own, "addr", "add", `${one.ip}/24`, "dev", "eth0");
      await ip("-n", own, "link", "set", "eth0", "up");
      return made;
    },
  };
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString("hex");

function vnicIn(all: readonly Vnic[], one: Vm): Vnic {
  const found = all.find((row) => row.interface === one.interface);
  if (found === undefined) throw new Error(`${one.server} has no VNIC on ${one.interface}`);
  return found;
}

/** Echo requests from a namespace that is no node of the topology. */
export async function pingFrom(namespace: string, to: string, count = 3): Promise<boolean> {
  const words = ["netns", "exec", namespace, "ping", "-n", "-i0.1", "-W1", `-c${count}`, to];
  return (await run("ip", words)).code === 0;
}
