import { type BpfObject, type IngressPorts, interfaceName } from "@nve/linux/bpf";
import type { TraceNames } from "../../trace.ts";
import type { TorMaps } from "../maps.ts";
import { bucketMaps } from "./buckets.ts";
import type { View } from "./story.ts";

type Parts = {
  object: BpfObject;
  maps: TorMaps;
  ports: Pick<IngressPorts, "indexOf" | "nameOf">;
  tunnel: { mtu: number | undefined };
};

/** The kernel's side of an open dataplane, as a trace looks at it. */
export const viewOf = ({ object, maps, ports, tunnel }: Parts, names: TraceNames): View => ({
  maps: { ...maps, ...bucketMaps(object) },
  indexOf: (port) => ports.indexOf(port),
  nameOf: (ifindex) => ports.nameOf(ifindex),
  linkOf: (ifindex) => interfaceName(ifindex) ?? `interface ${ifindex}`,
  mtu: tunnel.mtu,
  names,
  now: Number(process.hrtime.bigint()),
});
