import { readFileSync, writeFileSync } from "node:fs";
import { type LinkInfo, openRtnetlink, type Rtnetlink } from "@nve/linux";
import { type Log, Refused } from "@nve/program";
import { type IpAddress, isIpv6 } from "@nve/protocol-spec";

/** The kernel's VXLAN device in external mode: VNI and remote VTEP come with each packet. */
export type TunnelDevice = {
  readonly ifindex: number;
  /** Octets of a tenant's packet; undefined while no interface has the VTEP's address. */
  readonly mtu: number | undefined;
  up(): Promise<void>;
  /** Lets go of the device, which stays. */
  release(): void;
  /** Takes the device away. */
  close(): Promise<void>;
};

/** `inherited`: the number of the device that an earlier run left, to go on with. */
type TunnelOptions = {
  device: string;
  port: number;
  vtep: IpAddress;
  inherited?: number | undefined;
  log: Log;
};

/** Outer Ethernet, IP, UDP and VXLAN headers around a tenant's packet (RFC 7348 §5), less the outer Ethernet. */
const overhead = (vtep: IpAddress): number => (isIpv6(vtep) ? 40 : 20) + 8 + 8 + 14;

/**
 * Makes the device, in place of one that an earlier run left under the same name, unless that is inherited.
 * @throws Refused when it is not permitted or the name or the UDP port is taken
 */
export async function openTunnelDevice(options: TunnelOptions): Promise<TunnelDevice> {
  const { log } = options;
  let follow: (link: LinkInfo | undefined) => Promise<void> = async () => {};
  const kernel = openRtnetlink((event) => {
    const task = follow(event.on === "link" ? event.link : undefined);
    task.catch((error: unknown) => log.warn({ err: error }, "underlay MTU not followed"));
  });
  let ifindex: number | undefined;
  try {
    ifindex = await make(kernel, options);
    const made = ifindex;
    const underlay = new Underlay(kernel, made, options);
    await underlay.find();
    follow = (link) => underlay.changed(link);
    return {
      ifindex: made,
      get mtu() {
        return underlay.tenant;
      },
      up: () =>
        kernel.setLink(made, { up: true }).catch((error: unknown) => {
          throw refusal(error, options); // the UDP socket is opened only now
        }),
      release: () => {
        follow = async () => {};
        kernel.close();
      },
      close: async () => {
        follow = async () => {};
        await removeDevice(kernel, made);
        kernel.close();
      },
    };
  } catch (error) {
    if (ifindex !== undefined && ifindex !== options.inherited) await removeDevice(kernel, ifindex);
    kernel.close();
    throw error;
  }
}

async function make(
  kernel: Rtnetlink,
  { device, port, inherited }: TunnelOptions,
): Promise<number> {
  const old = await kernel.link(device);
  if (old !== undefined && old.kind !== "vxlan") {
    throw new Refused(`interface ${device} is there already and is no vxlan device: name another`);
  }
  if (old !== undefined && old.index === inherited) return old.index;
  if (old !== undefined) await removeDevice(kernel, old.index);
  try {
    const ifindex = await kernel.addVxlanExternal({ name: device, port });
    quietIpv6(device);
    return ifindex;
  } catch (error) {
    throw refusal(error, { device, port });
  }
}

function refusal(
  error: unknown,
  { device, port }: Pick<TunnelOptions, "device" | "port">,
): unknown {
  switch (codeOf(error)) {
    case "EPERM":
      return new Refused(`not permitted to make ${device}: run as root or with CAP_NET_ADMIN`, {
        cause: error,
      });
    case "EOPNOTSUPP":
    case "ENOTSUP": // the same number, as Node calls it
      return new Refused("this kernel has no vxlan: load the module with modprobe vxlan", {
        cause: error,
      });
    case "EEXIST":
    case "EADDRINUSE":
      return new Refused(`UDP port ${port} is taken by another vxlan device: remove it`, {
        cause: error,
      });
    default:
      return error;
  }
}

async function removeDevice(kernel: Rtnetlink, ifindex: number): Promise<void> {
  try {
    await kernel.deleteLink(ifindex);
  } catch (error) {
    if (codeOf(error) !== "ENODEV") throw error; // somebody else was faster
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** The kernel would send its own neighbour discovery out of the device, to no VNI. */
function quietIpv6(device: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`, "1");
  } catch {
    // a kernel without IPv6, or /proc/sys read-only: without an address nothing but drops comes of it
  }
}

/** The interface with the VTEP's address: its MTU, less the outer headers, is the tunnel device's. */
class Underlay {
  readonly #kernel: Rtnetlink;
  readonly #tunnel: number;
  readonly #options: TunnelOptions;
  #link: LinkInfo | undefined;
  /** What the underlay leaves for a tenant's packet, octets. */
  tenant: number | undefined;

  constructor(kernel: Rtnetlink, tunnel: number, options: TunnelOptions) {
    this.#kernel = kernel;
    this.#tunnel = tunnel;
    this.#options = options;
  }

  async find(): Promise<void> {
    const { vtep, log } = this.#options;
    const [links, addresses] = await Promise.all([this.#kernel.links(), this.#kernel.addresses()]);
    const holder = addresses.find(({ address }) => address === vtep)?.index;
    const link = links.find(({ index }) => index === holder);
    if (link === undefined) {
      log.warn(
        { vtep },
        `no interface has the VTEP address ${vtep} yet: nothing leaves the tunnel`,
      );
      return;
    }
    this.#link = link;
    warnOfReversePathFilter(link.name, log);
    await this.#size(link.mtu);
  }

  async changed(link: LinkInfo | undefined): Promise<void> {
    if (this.#link === undefined) {
      await this.find();
    } else if (
      link !== undefined &&
      link.index === this.#link.index &&
      link.mtu !== this.#link.mtu
    ) {
      this.#link = link;
      await this.#size(link.mtu);
    }
  }

  async #size(underlay: number): Promise<void> {
    const { vtep, log } = this.#options;
    const tenant = Math.min(Math.max(underlay - overhead(vtep), 68), 65535 - overhead(vtep));
    if (tenant < 1500) {
      const need = 1500 + overhead(vtep);
      log.warn(
        { underlay, tenant },
        `underlay MTU ${underlay} leaves ${tenant} octets for tenants' packets, longer ones are dropped: set ${need}`,
      );
    }
    this.tenant = tenant;
    await this.#kernel.setLink(this.#tunnel, { mtu: tenant });
  }
}

/** Strict filtering (1) drops tunnels whose source has its route over another interface (ip-sysctl). */
function warnOfReversePathFilter(name: string, log: Log): void {
  const strict = Math.max(...["all", name].map(reversePathFilter)) === 1;
  if (!strict) return;
  log.warn(
    { interface: name },
    `rp_filter is strict on ${name}: tunnels from VTEPs with a route over another interface are dropped; ` +
      `sysctl net.ipv4.conf.${name}.rp_filter=2 lets them in`,
  );
}

function reversePathFilter(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, "utf8"));
  } catch {
    return 0;
  }
}
