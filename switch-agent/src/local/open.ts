import { randomBytes } from "node:crypto";
import { linkMonitor, systemClock } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { openEbpfDataplane } from "../dataplane/ebpf/driver.ts";
import { NvaClient } from "../nva-client/client.ts";
import type { Self } from "../nva-client/convert.ts";
import { tlsOf } from "../nva-client/tls.ts";
import { type DataplaneConfig, type NvaConfig, probeOf, vnRulesOf } from "./config.ts";
import { Nve } from "./nve.ts";

export type OpenNveOptions = {
  self: Omit<Self, "encapsulations">;
  nva: NvaConfig;
  dataplane: DataplaneConfig;
  version: string;
  log: Log;
};

/**
 * An NVE that has no port yet, with the kernel and an NVA. What an earlier run left in the kernel is replaced.
 * @throws Refused when BPF, the tunnel device or the certificate is not to be had
 */
export async function openNve({
  self,
  nva,
  dataplane,
  version,
  log,
}: OpenNveOptions): Promise<Nve> {
  const { driver, answer, floodLimit, ...how } = dataplane;
  const vnRules = vnRulesOf({ answer, floodLimit });
  const { encapsulations } = dataplane;
  const { addresses } = nva;
  const tls = tlsOf(nva, log);
  const opened = await openEbpfDataplane({ vtep: self.vtep, ...how, log });
  try {
    await linkMonitor().ready; // until then every interface would count as absent
    const clock = systemClock;
    const incarnation = randomBytes(16);
    const { random } = Math;
    const ours = { self: { ...self, encapsulations } };
    const openNva: ConstructorParameters<typeof Nve>[0]["openNva"] = (wiring) =>
      new NvaClient({ ...wiring, ...ours, addresses, tls, incarnation, clock, log, random });
    const kernel = { clock, log, dataplane: opened };
    const probe = probeOf(self.vtep, dataplane, random);
    return new Nve({ self, version, probe, driver, ports: [], vnRules, ...kernel, openNva });
  } catch (error) {
    tls?.close();
    await opened.close();
    throw error;
  }
}
