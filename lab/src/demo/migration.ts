import type { Vm } from "../vm/declared.ts";
import { type Migrated, migrate } from "../vm/migrate.ts";
import { noGuest } from "../vm/qemu.ts";
import { startVm } from "../vm/start.ts";
import { downtimeLines, momentLine } from "../vm/words.ts";
import type { Story } from "./story.ts";
import { attach } from "./vms.ts";

/** A real VM of red, on a server of the first rack. */
const guest: Vm = {
  name: "red5",
  server: "srv1",
  mac: "02:00:00:00:00:05",
  addresses: ["10.0.1.25/24"],
  memoryMb: 96,
};
const goesTo = "srv3";
const speaksTo = "red2";

export type Guest = { missing: string } | { booting: Promise<Error | undefined> };

/** Begins to boot the VM, where that can be done. */
export function bootGuest({ lab }: Story): Guest {
  const missing = noGuest();
  if (missing !== undefined) return { missing };
  return {
    booting: startVm(lab, guest).then(
      () => undefined,
      (error: Error) => error,
    ),
  };
}

/** It moves to the other rack while red2 pings it and holds a TCP connection to it. */
export async function migration(story: Story, booted: Guest): Promise<Migrated | undefined> {
  const { lab, tenants, report, signal } = story;
  report.heading("A real VM moves to another rack while red2 speaks to it; its addresses stay");
  if ("missing" in booted) {
    report.say(`left out: ${booted.missing}`);
    return undefined;
  }
  const fault = await booted.booting;
  if (fault !== undefined) throw fault;
  const { name, server, mac, addresses } = guest;
  const [ip = ""] = (addresses[0] ?? "").split("/");
  await attach(lab, tenants, {
    vm: name,
    server,
    tor: "tor1",
    vn: "red",
    interface: `tap-${name}`,
    mac,
    ip,
  });
  const migrated = await migrate(lab, guest, goesTo, { probeFrom: speaksTo, signal });
  const [first] = migrated.moments;
  for (const moment of migrated.moments) report.say(momentLine(moment, first?.unixMs ?? 0));
  for (const line of downtimeLines(migrated)) report.say(line);
  judge(story, migrated);
  return migrated;
}

function judge({ report }: Story, { nves, pings, stream, downtime }: Migrated): void {
  const parts = `${Math.round(downtime.hypervisorMs)} ms its own, ${Math.round(downtime.networkMs)} ms the network's`;
  report.check(
    `${guest.name} answers at its new place, behind ${nves?.to ?? "the same switch"}`,
    "P2, M2, H24",
    pings?.answersThere === true && nves?.to === "tor2",
    `${Math.round(downtime.totalMs)} ms without an answer: ${parts}`,
  );
  report.check(
    "its TCP connection is not broken, and each octet came as it was sent",
    "M2, V1",
    stream?.broken === "" && stream.intact,
    stream === undefined ? "there was none" : `${stream.octets} octets`,
  );
}
