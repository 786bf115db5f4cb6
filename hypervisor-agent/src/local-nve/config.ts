import { checked } from "@nve/program/config";
import { type IpAddress, NveId } from "@nve/protocol-spec";
import {
  type DataplaneConfig,
  dataplaneConfig,
  type NvaConfig,
  nvaConfig,
  vtepConfig,
} from "@nve/switch-agent/local";
import { z } from "zod";

/** The NVE on the server itself (A8). `id`: absent: that of the hypervisor. */
export type LocalNveConfig = {
  id?: NveId | undefined;
  vtep: IpAddress;
  nva: NvaConfig;
  dataplane: DataplaneConfig;
  /** VMs send from the IPs that were said of their MACs alone, if any were (M10). */
  checkIps: boolean;
};

/** `nve: {id?, vtep, nva, dataplane?, checkIps?}`, in place of `uplinks`. */
export const localNve: z.ZodType<LocalNveConfig> = z.strictObject({
  id: z.string().transform(checked(NveId)).optional(),
  vtep: vtepConfig,
  nva: nvaConfig,
  dataplane: dataplaneConfig,
  checkIps: z.boolean().default(true),
});
