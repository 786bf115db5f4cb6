import { type Bridging, type Filter, type LinkInfo, NetlinkError, openBridging } from "@nve/linux";
import { Refused } from "@nve/program";
import { IpAddress } from "@nve/protocol-spec";
import { bridgeName, isOurs } from "./names.ts";

/** The bridge, in place of what an earlier run left. @throws Refused when it is not permitted, or this kernel cannot */
export async function openBridge(): Promise<{ kernel: Bridging; bridge: number }> {
  const kernel = openBridging();
  try {
    await clear(kernel);
    const bridge = await kernel.addBridge(bridgeName);
    try {
      await probe(kernel, bridge);
      await kernel.setLink(bridge, { up: true });
    } catch (error) {
      await kernel.deleteLink(bridge);
      throw error;
    }
    return { kernel, bridge };
  } catch (error) {
    kernel.close();
    throw refusal(error);
  }
}

/** Takes away all that is ours. */
export async function clear(kernel: Bridging): Promise<void> {
  const links = await kernel.links();
  const bridge = links.find(({ name }) => name === bridgeName);
  if (bridge !== undefined && bridge.kind !== "bridge") {
    throw new Refused(`interface ${bridgeName} is there already and is no bridge`);
  }
  const kinds = new Set(["vlan", "vxlan"]);
  const isLeft = ({ name, kind = "" }: LinkInfo): boolean => isOurs(name) && kinds.has(kind);
  const left = [...links.filter(isLeft), ...(bridge ? [bridge] : [])];
  for (const { index } of left) await gone(kernel.deleteLink(index));
}

/** Some kernels take a wish and do nothing: what is asked for is looked at. */
async function probe(kernel: Bridging, bridge: number): Promise<void> {
  if (!(await kernel.filtersVlans(bridge))) {
    throw new Refused("this kernel's bridge does not filter VLANs (CONFIG_BRIDGE_VLAN_FILTERING)");
  }
  await has("8021q", async () => {
    await kernel.deleteLink(await kernel.addVlan("nve0.0", bridge, 1));
  });
  const filters: readonly Filter[] = [
    { priority: 1, handle: 1, protocol: 0x8100, match: { vid: 1 }, drop: true },
    { priority: 2, handle: 1, protocol: "all", match: { tunnelSource }, drop: true },
  ];
  await has("cls_flower, cls_u32, act_gact and sch_ingress", async () => {
    await kernel.addClsact(bridge);
    for (const filter of filters) await kernel.putFilter(bridge, filter);
    const made = (await kernel.filters(bridge)).length;
    if (made < filters.length) throw new NetlinkError("EOPNOTSUPP", "filters");
    for (const filter of filters) await kernel.deleteFilter(bridge, filter);
  });
}

const tunnelSource = IpAddress("192.0.2.1"); // RFC 5737

async function has(modules: string, attempt: () => Promise<void>): Promise<void> {
  try {
    await attempt();
  } catch (cause) {
    if (!(cause instanceof NetlinkError) || !UNKNOWN.has(cause.code)) throw cause;
    throw new Refused(`this kernel has no ${modules}: load it with modprobe`, { cause });
  }
}

function refusal(error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const { code } = error;
  if (code === "EPERM") {
    return new Refused("not permitted to make a bridge: run as root or with CAP_NET_ADMIN", {
      cause: error,
    });
  }
  if (!UNKNOWN.has(code)) return error;
  const why = "load it with modprobe, or take one with CONFIG_BRIDGE_VLAN_FILTERING";
  return new Refused(`this kernel has no bridge that filters VLANs: ${why}`, { cause: error });
}

/** What is taken away may be gone already. */
export async function gone(request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof NetlinkError) || !GONE.has(error.code)) throw error;
  }
}

/** Of a kind of device, of an attribute, of a classifier. */
const UNKNOWN = new Set(["EOPNOTSUPP", "ENOTSUP", "ENOENT"]);
const GONE = new Set(["ENODEV", "ENOENT", "EINVAL", "ENXIO"]);
