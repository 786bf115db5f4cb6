import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { labFolder } from "../find.ts";
import { execIn, nodeState } from "../labs.ts";
import { spawnIn } from "../namespaces.ts";
import { tell } from "./agents.ts";

const vm = z.strictObject({
  vm: z.string(),
  server: z.string(),
  tor: z.string(),
  vn: z.string(),
  interface: z.string(),
  mac: z.string(),
  ip: z.string(),
});
const vn = z.strictObject({ alias: z.string(), id: z.number(), vni: z.number() });
const tenants = z.strictObject({ vns: z.array(vn), vms: z.array(vm) });

export type Vm = z.infer<typeof vm>;
export type Tenants = z.infer<typeof tenants>;

/** What two-racks/expect.json says of virtual networks and VMs. */
export function readTenants(): Tenants {
  return tenants.parse(JSON.parse(readFileSync(join(labFolder, "two-racks/expect.json"), "utf8")));
}

/** Of one that expect.json names. */
export function named<T>(all: readonly T[], is: (one: T) => boolean): T {
  const found = all.find(is);
  if (found === undefined)
    throw new Error("two-racks/expect.json does not have what the demo tells of");
  return found;
}

export async function attach(lab: string, { vns }: Tenants, one: Vm): Promise<void> {
  const { id } = named(vns, ({ alias }) => alias === one.vn);
  const addresses = ["--mac", one.mac, "--ip", one.ip];
  const command = ["vnic", "attach", one.interface, "--vn", String(id), ...addresses];
  await tell(lab, one.server, "hypervisor-agent", ...command);
}

/** Round trip of the first answered of `count` echo requests, in ms; undefined when none is. */
export async function ping(
  lab: string,
  from: string,
  ip: string,
  count = 3,
): Promise<number | undefined> {
  const words = ["ping", "-n", "-c", String(count), "-i", "0.1", "-W", "0.5", ip];
  const { stdout } = await execIn(lab, from, words);
  const time = /bytes from .* time=([\d.]+) ms/.exec(stdout)?.[1];
  return time === undefined ? undefined : Number(time);
}

/** Unix time in ms of the first answer to echo requests 10 ms apart; undefined when none came in time. */
export function firstAnswer(
  lab: string,
  from: string,
  ip: string,
  withinMs: number,
): Promise<number | undefined> {
  const pinging = spawnIn(nodeState(lab, from), ["ping", "-D", "-n", "-i", "0.01", ip], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  return new Promise((resolve) => {
    const timer = setTimeout(() => pinging.kill("SIGKILL"), withinMs);
    let printed = "";
    pinging.stdout?.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
      if (/\] \d+ bytes from/.test(printed)) pinging.kill("SIGKILL");
    });
    pinging.on("close", () => {
      clearTimeout(timer);
      const seconds = /\[([\d.]+)\] \d+ bytes from/.exec(printed)?.[1];
      resolve(seconds === undefined ? undefined : Number(seconds) * 1000);
    });
  });
}
