import { type LinkEvent, openRtnetlink } from "@nve/linux";
import type { Log } from "@nve/program";
import { type IpAddress, isIpv6 } from "@nve/protocol-spec";

/** Octets of a tenant's packet that the interface with the VTEP leaves room for; followed. */
export type UnderlayMtu = { readonly mtu: number | undefined; close(): void };

const overhead = (vtep: IpAddress): number => (isIpv6(vtep) ? 40 : 20) + 8 + 8 + 14;

/** @param changed the MTU is another now */
export async function watchUnderlay(
  vtep: IpAddress,
  log: Log,
  changed: () => void,
): Promise<UnderlayMtu> {
  let mtu: number | undefined;
  let isOpen = true;
  const look = async (): Promise<void> => {
    const [links, addresses] = await Promise.all([kernel.links(), kernel.addresses()]);
    const holder = addresses.find(({ address }) => address === vtep)?.index;
    const link = links.find(({ index }) => index === holder);
    const now = link && Math.max(68, link.mtu - overhead(vtep));
    if (!isOpen || now === mtu) return;
    mtu = now;
    changed();
  };
  const hear = (event: LinkEvent): void => {
    if (event.on === "link" && event.link.kind !== undefined && event.link.name.startsWith("nve"))
      return;
    look().catch((error: unknown) => {
      if (isOpen) log.warn({ err: error }, "underlay MTU not followed");
    });
  };
  const kernel = openRtnetlink(hear);
  await look();
  if (mtu === undefined) log.warn({ vtep }, `no interface has the VTEP address ${vtep} yet`);
  return {
    get mtu() {
      return mtu;
    },
    close: () => {
      isOpen = false;
      kernel.close();
    },
  };
}
