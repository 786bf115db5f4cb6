import { execFileSync } from "node:child_process";
import {
  isUp,
  type LinkEvent,
  type LinkInfo,
  type LinkMonitor,
  NetlinkError,
  openLinkMonitor,
  openRtnetlink,
} from "@nve/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ip, type Veth, vethPair } from "../support/netns.ts";

let cable: Veth;
let rtnetlink: ReturnType<typeof openRtnetlink>;
beforeEach(() => {
  cable = vethPair();
  rtnetlink = openRtnetlink();
});
afterEach(() => {
  rtnetlink.close();
  cable.remove();
});

type IpLink = { ifindex: number; ifname: string; mtu: number; address: string; flags: string[] };

async function linkOf(name: string): Promise<LinkInfo> {
  const link = await rtnetlink.link(name);
  if (link === undefined) throw new Error(`${name} is not there`);
  return link;
}

async function refusal(attempt: Promise<unknown>): Promise<NetlinkError> {
  const error = await attempt.then(
    () => new Error("not refused"),
    (cause: unknown) => cause,
  );
  if (error instanceof NetlinkError) return error;
  throw error;
}

describe("rtnetlink", () => {
  test("lists the interfaces that ip lists", async () => {
    cable.make();
    const expected = (JSON.parse(ip("-json link show")) as IpLink[]).filter(ours);
    const found = (await rtnetlink.links()).filter(({ name }) => ours({ ifname: name }));
    expect(found.map(({ index, name, mtu, mac }) => [index, name, mtu, mac])).toEqual(
      expected.map(({ ifindex, ifname, mtu, address }) => [ifindex, ifname, mtu, address]),
    );
    expect(found.map(({ kind }) => kind)).toEqual(["veth", "veth"]);
    expect(found.every(isUp)).toBe(true);
  });

  test("lists the addresses of an interface", async () => {
    cable.make();
    ip(`addr add 192.0.2.77/25 dev ${cable.a}`);
    ip(`addr add 2001:db8::77/64 dev ${cable.a} nodad`);
    const { index } = await linkOf(cable.a);
    const found = (await rtnetlink.addresses()).filter((each) => each.index === index);
    expect(found).toContainEqual({ index, address: "192.0.2.77", prefixLength: 25 });
    expect(found).toContainEqual({ index, address: "2001:db8::77", prefixLength: 64 });
  });

  test("sets an interface down and up, and its MTU", async () => {
    cable.make();
    const { index } = await linkOf(cable.a);
    await rtnetlink.setLink(index, { up: false, mtu: 1400 });
    expect(isUp(await linkOf(cable.a))).toBe(false);
    await rtnetlink.setLink(index, { mtu: 1600 });
    expect(await linkOf(cable.a)).toMatchObject({ mtu: 1600, flags: expect.toSatisfy(isEven) });
    await rtnetlink.setLink(index, { up: true });
    expect(isUp(await linkOf(cable.a))).toBe(true);
  });

  test("makes a VXLAN device that takes VNI and VTEP from each packet, with no address of its own", async () => {
    const name = cable.a;
    const index = await rtnetlink.addVxlanExternal({ name, port: 47890 });
    await rtnetlink.setLink(index, { up: true });
    const [device] = JSON.parse(ip(`-d -json link show ${name}`)) as [unknown];
    expect(device).toMatchObject({
      ifindex: index,
      inet6_addr_gen_mode: "none",
      linkinfo: {
        info_kind: "vxlan",
        info_data: {
          external: true,
          port: 47890,
          port_range: { low: 49152, high: 65535 },
          learning: false,
        },
      },
    });
    expect((await rtnetlink.addresses()).filter((each) => each.index === index)).toEqual([]);
    const again = await refusal(rtnetlink.addVxlanExternal({ name }));
    expect([again.code, again.message]).toEqual(["EEXIST", `make ${name}: EEXIST`]);
    await rtnetlink.deleteLink(index);
    expect(await rtnetlink.link(name)).toBeUndefined();
  });

  test("refuses with errno's name, what was tried, and the kernel's own words", async () => {
    const gone = await refusal(rtnetlink.deleteLink(0x7fffffff));
    expect([gone.code, gone.message]).toEqual(["ENODEV", "delete interface 2147483647: ENODEV"]);
    cable.make();
    const { index } = await linkOf(cable.a);
    const mtu = await refusal(rtnetlink.setLink(index, { mtu: 10 }));
    expect([mtu.code, mtu.message]).toEqual([
      "EINVAL",
      `change interface ${index}: mtu less than device minimum: EINVAL`,
    ]);
  });

  test("answers ten thousand requests at once, good and bad, each for itself", async () => {
    cable.make();
    const { index } = await linkOf(cable.a);
    const answers = await Promise.allSettled(
      Array.from({ length: 10_000 }, (_, n) =>
        rtnetlink.setLink(n % 2 ? index : 0x7fffffff, { mtu: 1400 }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(
      Array.from({ length: 10_000 }, (_, n) => (n % 2 ? "fulfilled" : "rejected")),
    );
  });

  test("gives each of several dumps at once all of it", async () => {
    const [first, ...others] = await Promise.all([1, 2, 3, 4].map(() => rtnetlink.links()));
    expect(first?.length).toBeGreaterThan(0);
    for (const other of others) expect(other).toEqual(first);
  });

  test("a request that is outstanding when the socket closes is refused, and so is every later one", async () => {
    const outstanding = refusal(rtnetlink.links());
    rtnetlink.close();
    expect((await outstanding).code).toBe("EBADF");
    expect((await refusal(rtnetlink.links())).code).toBe("EBADF");
  });

  test("tells of its own changes as of those of others", async () => {
    const events: LinkEvent[] = [];
    const heard = openRtnetlink((event) => events.push(event));
    const of = (name: string) =>
      events.flatMap((event) =>
        event.on !== "resync" && event.link.name === name ? [event.on] : [],
      );
    const index = await heard.addVxlanExternal({ name: cable.a, port: 47891 });
    await heard.deleteLink(index);
    await heard.links();
    heard.close();
    expect(of(cable.a).at(0)).toBe("link");
    expect(of(cable.a).at(-1)).toBe("gone");
  });
});

describe("the interface monitor", () => {
  let monitor: LinkMonitor & { close(): void };
  beforeEach(async () => {
    monitor = openLinkMonitor();
    await monitor.ready;
  });
  afterEach(() => monitor.close());

  /** Resolves at the first change for which `wanted` holds. */
  const change = (name: string, wanted: (link: LinkInfo | undefined, lost: boolean) => boolean) =>
    new Promise<LinkInfo | undefined>((resolve) => {
      const unwatch = monitor.watch(name, (link, lost) => {
        if (!wanted(link, lost)) return;
        unwatch();
        resolve(link);
      });
    });

  test("knows from the start what is there", async () => {
    cable.make();
    const another = openLinkMonitor();
    expect(another.find(cable.a)).toBeUndefined();
    await another.ready;
    expect(another.find(cable.a)).toEqual(await linkOf(cable.a));
    another.close();
  });

  test("tells that an interface came, was renamed, and went", async () => {
    const up = change(cable.a, (link) => link !== undefined && isUp(link));
    cable.make();
    const link = await up;
    expect(monitor.find(cable.a)).toEqual(link);

    const left = change(cable.a, (now) => now === undefined);
    const came = change(`${cable.a}r`, (now) => now !== undefined);
    ip(`link set ${cable.a} down`);
    ip(`link set ${cable.a} name ${cable.a}r`);
    await left;
    expect((await came)?.index).toBe(link?.index);
    expect(monitor.find(cable.a)).toBeUndefined();

    const gone = change(`${cable.a}r`, (now) => now === undefined);
    ip(`link del ${cable.a}r`);
    await gone;
    expect(monitor.find(`${cable.a}r`)).toBeUndefined();
  });

  test("takes stock anew when the kernel had more to tell than it could", async () => {
    cable.make();
    const { index } = await linkOf(cable.a);
    const lost = change(cable.a, (_, lost) => lost);
    // nothing is read meanwhile: the loop waits for ip
    execFileSync("ip", ["-batch", "-"], {
      input: Array.from({ length: 4000 }, (_, n) => `link set ${cable.a} mtu ${1400 + (n % 2)}`)
        .concat(
          `link set ${cable.a} mtu 1444`,
          `link del ${cable.b}`,
          `link add ${cable.a} type veth peer ${cable.b}`,
        )
        .join("\n"),
    });
    const link = await lost;
    expect(link?.index).toBeGreaterThan(index);
    expect(monitor.find(cable.a)).toEqual(await linkOf(cable.a));
  });
});

const ours = ({ ifname }: Pick<IpLink, "ifname">): boolean => [cable.a, cable.b].includes(ifname);
const isEven = (n: number): boolean => n % 2 === 0;
