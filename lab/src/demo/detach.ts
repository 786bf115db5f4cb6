import { becomes, fdbOf, type Located, mappingsOf, tagsOf, tell } from "./agents.ts";
import type { Story } from "./story.ts";
import { named, ping } from "./vms.ts";

const goneWithinMs = 3000;

/** A VM is detached: it is gone from every table (H2, H7), and blue4 with the same MAC address is not. */
export async function detachOne({ lab, tenants, report }: Story): Promise<void> {
  const red4 = named(tenants.vms, ({ vm }) => vm === "red4");
  const red = named(tenants.vns, ({ alias }) => alias === "red").id;
  const blue = named(tenants.vns, ({ alias }) => alias === "blue").id;
  const portsOf = async (id: number) =>
    (await tagsOf(lab, red4.tor)).filter(({ vn }) => vn === id).map(({ port }) => port);
  const before = await portsOf(red);
  report.heading("red4 is detached, and gone from every table");
  const command = ["hypervisor-agent", "vnic", "detach", red4.interface];
  await tell(lab, red4.server, ...command);
  report.say(`${red4.server}$ ${command.join(" ")}`);
  const tables: readonly [string, string, () => Promise<readonly Located[]>][] = [
    ["the NVA's mappings", "A7, H22", () => mappingsOf(lab)],
    ["tor2's forwarding table", "H2, A7", () => fdbOf(lab, "tor2")],
    ["tor1's forwarding table", "A17", () => fdbOf(lab, "tor1")],
  ];
  const looks = tables.map(async ([name, requirements, rows]) => {
    let vns: readonly number[] = [];
    const gone = await becomes(async () => {
      vns = (await rows()).filter(({ mac }) => mac === red4.mac).map(({ vnId }) => vnId);
      return !vns.includes(red);
    }, goneWithinMs);
    return { name, requirements, gone, stays: vns.includes(blue) };
  });
  for (const { name, requirements, gone, stays } of await Promise.all(looks))
    report.check(
      `red4 is gone from ${name}, blue4 is not`,
      requirements,
      gone && stays,
      `${red4.mac}: ${gone ? "not in" : "STILL in"} red, ${stays ? "in" : "NOT in"} blue`,
    );
  const [redPorts, bluePorts] = [await portsOf(red), await portsOf(blue)];
  report.check(
    "its tag is given back, blue4's on the same link is not",
    "H2, V8",
    redPorts.length === before.length - 1 && bluePorts.length === before.length,
    `${red4.tor} has lent tags to red on ${redPorts.join(", ") || "no port"}, to blue on ${bluePorts.join(", ") || "no port"}`,
  );
  const time = await ping(lab, "red1", red4.ip, 2);
  report.check(
    "red4 answers no more",
    "H2, A7",
    time === undefined,
    `${red4.ip} ${time === undefined ? "does not answer" : "ANSWERS"}`,
  );
}
