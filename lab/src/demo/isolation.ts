import { join } from "node:path";
import { readCapture, startCapture } from "../capture.ts";
import type { Story } from "./story.ts";
import { named, ping, type Vm } from "./vms.ts";

/**
 * The networks do not reach each other (P11). red4's address exists in red alone and blue4's in blue alone; all
 * other addresses exist in both, so who is seen to get a frame tells which network carried it.
 */
export async function isolation(story: Story): Promise<void> {
  const { lab, tenants, report } = story;
  report.heading("The networks do not reach each other");
  const vm = (name: string) => named(tenants.vms, (one) => one.vm === name);
  const seen = await watching(story, async () => {
    await cannotReach(story, vm("blue1"), vm("red4"));
    await cannotReach(story, vm("red1"), vm("blue4"));
    const { ip } = vm("red2");
    const time = await ping(lab, "red1", ip, 1);
    report.check(
      "red1 pings the address that red2 and blue2 share, and one of them answers",
      "H5, P5",
      time !== undefined,
      time === undefined ? `${ip} does not answer` : `${ip} answers in ${time} ms`,
    );
  });
  // red1 has asked for blue4's address, blue1 for red4's: their own networks have heard it, and nobody else.
  heardInItsOwn(story, seen, vm("red1"), vm("blue4"));
  heardInItsOwn(story, seen, vm("blue1"), vm("red4"));
  const echoes = (name: string) =>
    (seen.get(name) ?? []).filter((line) => line.includes("ICMP echo request")).length;
  report.check(
    "red1's pings came to red2, and none to blue2 with the same addresses",
    "H5, P11",
    echoes("red2") > 0 && echoes("blue2") === 0,
    `echo requests: ${echoes("red2")} at red2, ${echoes("blue2")} at blue2`,
  );
}

/** Lines of each VM's capture. */
type Seen = ReadonlyMap<string, readonly string[]>;

async function cannotReach({ lab, report }: Story, from: Vm, to: Vm): Promise<void> {
  const time = await ping(lab, from.vm, to.ip, 2);
  report.check(
    `${from.vm} does not reach ${to.vm}`,
    "P11, V6",
    time === undefined,
    `${to.ip} ${time === undefined ? "does not answer" : "ANSWERS"} in ${from.vn}`,
  );
}

function heardInItsOwn({ tenants, report }: Story, seen: Seen, asker: Vm, wanted: Vm): void {
  const request = `who-has ${wanted.ip} tell ${asker.ip}`;
  const heard = ({ vm }: Vm) => seen.get(vm)?.some((line) => line.includes(request));
  const others = tenants.vms.filter((one) => one !== asker);
  const hearers = others.filter(heard).map((one) => one.vm);
  const own = others.filter((one) => one.vn === asker.vn).map((one) => one.vm);
  report.check(
    `${asker.vm}'s broadcasts are seen by all VMs of ${asker.vn}, and by no other`,
    "A2, P11, V6",
    hearers.join() === own.join(),
    `seen by ${hearers.join(", ") || "none"}`,
  );
}

/** Captures at every VM while something happens. */
async function watching(
  { lab, tenants: { vms }, folder }: Story,
  happening: () => Promise<void>,
): Promise<Seen> {
  const captures = await Promise.all(
    vms.map((one) =>
      startCapture(lab, one.vm, "eth0", join(folder, `${one.vm}.pcap`), "arp or icmp"),
    ),
  );
  try {
    await happening();
  } finally {
    await Promise.all(captures.map((capture) => capture.stop()));
  }
  const lines = await Promise.all(captures.map((capture) => readCapture(capture.path)));
  return new Map(vms.map((one, i) => [one.vm, lines[i] ?? []] as const));
}
