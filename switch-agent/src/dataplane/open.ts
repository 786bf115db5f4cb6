import type { Log } from "@nve/program";
import type { IpAddress } from "@nve/protocol-spec";
import type { SwitchDataplaneConfig } from "../local/config.ts";
import { openBridgeDataplane } from "./bridge/driver.ts";
import type { Dataplane } from "./dataplane.ts";
import { openEbpfDataplane } from "./ebpf/driver.ts";
import { openUserspaceDataplane } from "./userspace/driver.ts";

/** The driver that the config names. @throws Refused */
export function openDataplane(
  vtep: IpAddress,
  config: SwitchDataplaneConfig,
  log: Log,
): Promise<Dataplane> {
  const { driver, attach, fastPath, meters, encapsulations, pins = true, tables } = config;
  const common = { vtep, encapsulations, meters, log };
  switch (driver) {
    case "ebpf":
      return openEbpfDataplane({ ...common, attach, fastPath, tables, pins });
    case "userspace":
      log.warn("frames go through userspace: to try out and to compare with, not for traffic");
      return openUserspaceDataplane(common);
    case "bridge":
      return openBridgeDataplane({ vtep, log });
  }
}
