import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { type LinkInfo, openRtnetlink, type Rtnetlink } from "@nve/linux";
import type { Log } from "@nve/program";
import { type IpAddress, isIpv6, type Vni } from "@nve/protocol-spec";

type GroupsOptions = {
  /** Groups are joined at the interface that has its address. */
  vtep: IpAddress;
  /** How long others have to join a VN's group before it is sent to, and how long we stay in one that is not needed. */
  settleMs: number;
  log: Log;
};

/** `since` it was wanted, of a clock that only goes forward; with 0 others are there already. */
type Held = { group: IpAddress; since: number; sends: boolean };

/** What is not so yet is tried again, and what is so is looked at. */
const LOOK_MS = 5000;
/** Of devices that only listen: none is sent from. */
const PREFIX = "nvemc";
const UNUSED_PORT = 61789;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_MULTICAST = 0x1000;

/** @throws SystemError, Unavailable */
export async function openGroups(options: GroupsOptions): Promise<Groups> {
  const kernel = openRtnetlink();
  try {
    return new Groups(kernel, options, await kernel.links());
  } catch (error) {
    kernel.close();
    throw error;
  }
}

/**
 * The groups of the underlay that VNs here have (A10). One is joined by the kernel, for a device of its own, so that it is
 * heard, too, while no agent runs. From the moment on that a VN has a group it is listened to; it is sent to once all others
 * had the time to do the same. A group that cannot be joined is not sent to: then each NVE gets its copy.
 */
export class Groups {
  readonly #kernel: Rtnetlink;
  readonly #options: GroupsOptions;
  readonly #held = new Map<Vni, Held>();
  /** Joined, by group: the device and the interface where that was. */
  readonly #joined = new Map<IpAddress, { device: number; link: number }>();
  readonly #unused = new Map<IpAddress, number>();
  /** Names of devices of an earlier run. */
  #inherited: ReadonlySet<string> | undefined;
  #change: (vni: Vni) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  /** Of the last look. */
  #isFaulty = false;
  #fault: string | undefined;
  #closed = false;

  constructor(kernel: Rtnetlink, options: GroupsOptions, links: readonly LinkInfo[]) {
    this.#kernel = kernel;
    this.#options = options;
    this.#inherited = new Set(links.map(({ name }) => name).filter((name) => isOurs(name)));
  }

  get warnings(): readonly string[] {
    return this.#fault === undefined ? [] : [`${NOT_JOINED}: ${this.#fault}`];
  }

  /** @param change called when a VN may send to its group, or may no more */
  onChange(change: (vni: Vni) => void): void {
    this.#change = change;
  }

  /** What is held until now is an earlier run's: there others are in it already. */
  begin(): void {
    this.#inherited = undefined;
    if (this.#held.size > 0) this.#soon(0);
  }

  set(vni: Vni, group: IpAddress | undefined): void {
    const was = this.#held.get(vni);
    if (was?.group === group) return;
    if (was !== undefined) this.#unused.set(was.group, Date.now());
    if (group === undefined) this.#held.delete(vni);
    else {
      const sends = this.#inherited?.has(nameOf(group)) ?? false;
      this.#held.set(vni, { group, since: sends ? 0 : performance.now(), sends });
    }
    if (this.#inherited === undefined) this.#soon(0);
  }

  maySend(vni: Vni, group: IpAddress): boolean {
    const held = this.#held.get(vni);
    if (held === undefined) return this.#inherited?.has(nameOf(group)) ?? false;
    return held.group === group && held.sends;
  }

  /** Devices that nobody wants: of an earlier run. */
  async sweep(): Promise<void> {
    const wanted = new Set([...this.#held.values()].map(({ group }) => nameOf(group)));
    for (const group of this.#unused.keys()) wanted.add(nameOf(group));
    for (const { index, name } of await this.#kernel.links()) {
      if (isOurs(name) && !wanted.has(name)) await this.#gone(this.#kernel.deleteLink(index));
    }
  }

  /** Lets go: what was joined stays so. */
  release(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#kernel.close();
  }

  /** Leaves all. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#working;
    for (const group of [...this.#joined.keys()]) await this.#leave(group);
    this.#kernel.close();
  }

  #soon(ms: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#working !== undefined) return this.#soon(10);
      this.#working = this.#work()
        .catch((error: unknown) => this.#failed(error))
        .finally(() => {
          this.#working = undefined;
        });
    }, ms);
    this.#timer.unref();
  }

  /** Joins what is wanted, leaves what has not been for long enough, and says who may send. */
  async #work(): Promise<void> {
    this.#isFaulty = false;
    const wanted = new Set([...this.#held.values()].map(({ group }) => group));
    const links = await this.#kernel.links();
    const link = wanted.size === 0 ? undefined : await this.#underlay(links);
    for (const group of wanted) await this.#join(group, link, links);
    const { settleMs } = this.#options;
    for (const [group, since] of this.#unused) {
      if (!wanted.has(group) && Date.now() - since < settleMs) continue;
      this.#unused.delete(group);
      if (!wanted.has(group)) await this.#leave(group);
    }
    if (!this.#isFaulty) this.#well();
    this.#tell();
    const now = performance.now();
    const waits = [...this.#held.values()].map(({ since }) => since + settleMs - now);
    const soon = [...waits.filter((ms) => ms > 0), ...(this.#unused.size > 0 ? [settleMs] : [])];
    if (wanted.size + this.#unused.size > 0) this.#soon(Math.ceil(Math.min(LOOK_MS, ...soon)));
  }

  #tell(): void {
    const { settleMs } = this.#options;
    for (const [vni, held] of this.#held) {
      const isTime = performance.now() - held.since >= settleMs || held.since === 0;
      const sends = isTime && this.#joined.has(held.group);
      if (sends === held.sends || this.#closed) continue;
      held.sends = sends;
      try {
        this.#change(vni);
      } catch (error) {
        held.sends = !sends; // until the next look
        this.#failed(error);
      }
    }
  }

  async #underlay(links: readonly LinkInfo[]): Promise<LinkInfo | undefined> {
    const { vtep } = this.#options;
    const holder = (await this.#kernel.addresses()).find(({ address }) => address === vtep);
    const link = links.find(({ index }) => index === holder?.index);
    if (link === undefined) this.#failed(new Error(`no interface has the VTEP's address ${vtep}`));
    else if (!takesGroups(link))
      this.#failed(new Error(`${link.name}, which has the VTEP's address, is no multicast link`));
    else return link;
    return undefined;
  }

  async #join(
    group: IpAddress,
    link: LinkInfo | undefined,
    links: readonly LinkInfo[],
  ): Promise<void> {
    const known = this.#joined.get(group);
    const there = links.find(({ name }) => name === nameOf(group));
    if (known !== undefined && known.device === there?.index && known.link === link?.index) return;
    this.#joined.delete(group);
    if (link === undefined) return;
    try {
      const device = there?.index ?? (await this.#device(group, link.index));
      if (isIpv6(group)) await this.#gone(this.#kernel.addGroupRoute(group, link.index));
      this.#joined.set(group, { device, link: link.index });
      this.#options.log.info({ group, interface: link.name }, "group of the underlay joined");
    } catch (error) {
      this.#failed(error);
    }
  }

  async #device(group: IpAddress, link: number): Promise<number> {
    const name = nameOf(group);
    const device = await this.#kernel.addVxlanGroup({ name, group, link, port: UNUSED_PORT });
    try {
      writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, "1");
    } catch {
      // a kernel without IPv6: nothing goes out of it then, either
    }
    try {
      await this.#kernel.setLink(device, { up: true }); // joined only now
    } catch (error) {
      await this.#gone(this.#kernel.deleteLink(device));
      throw error;
    }
    return device;
  }

  async #leave(group: IpAddress): Promise<void> {
    const joined = this.#joined.get(group);
    this.#joined.delete(group);
    if (joined === undefined) return;
    if (isIpv6(group)) await this.#gone(this.#kernel.deleteGroupRoute(group, joined.link));
    await this.#gone(this.#kernel.deleteLink(joined.device));
    this.#options.log.info({ group }, "group of the underlay left");
  }

  /** What is so already, or is gone already, is no fault. */
  async #gone(done: Promise<void>): Promise<void> {
    await done.catch((error: unknown) => {
      if (!ALREADY.has(codeOf(error))) throw error;
    });
  }

  #well(): void {
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#options.log.info("groups of the underlay are joined again");
  }

  #failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#closed) return;
    this.#isFaulty = true;
    this.#soon(LOOK_MS);
    if (reason === this.#fault) return;
    this.#fault = reason;
    this.#options.log.warn({ reason }, NOT_JOINED);
  }
}

const NOT_JOINED =
  "a group of the underlay is not joined: each NVE gets its own copy, and what others send to it is not heard";

const ALREADY: ReadonlySet<unknown> = new Set(["EEXIST", "ESRCH", "ENODEV"]);

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** 15 characters are all that an interface's name may have. */
const nameOf = (group: IpAddress): string =>
  `${PREFIX}${createHash("sha256").update(group).digest("hex").slice(0, 10)}`;

const isOurs = (name: string): boolean => /^nvemc[0-9a-f]{10}$/.test(name);

const takesGroups = ({ flags, mac }: LinkInfo): boolean =>
  mac !== undefined &&
  (flags & (IFF_UP | IFF_MULTICAST)) === (IFF_UP | IFF_MULTICAST) &&
  (flags & IFF_LOOPBACK) === 0;
