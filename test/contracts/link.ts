import { readdirSync } from "node:fs";
import type { Link, LinkOptions, LinkState } from "@nve/linux";
import { linkMonitor } from "@nve/linux";
import { Mac, macOctets } from "@nve/protocol-spec";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ip, type Veth, vethPair } from "../support/netns.ts";

const LLDP = 0x88cc;
const ECP = 0x8940;
const ARP = 0x0806;
const NEAREST_BRIDGE = "01:80:c2:00:00:0e";

/** What every driver of Link does, on a real cable. */
export function linkContract(driver: string, open: (options: LinkOptions) => Link): void {
  describe(`a ${driver} link`, () => {
    let cable: Veth;
    const links: Link[] = [];
    const openOn = (name: string, etherTypes: readonly number[] = [LLDP, ECP]): Link => {
      const link = open({ interface: name, etherTypes });
      links.push(link);
      return link;
    };

    beforeAll(() => linkMonitor().ready);
    beforeEach(() => {
      cable = vethPair();
    });
    afterEach(() => {
      for (const link of links.splice(0)) link.close();
      cable.remove();
    });

    /** Both ends, up. */
    async function connected(): Promise<{ a: Link; b: Link; inbox: Inbox }> {
      cable.make();
      const a = openOn(cable.a);
      const b = openOn(cable.b);
      const inbox = inboxOf(b);
      await Promise.all([stateOf(a, "up"), stateOf(b, "up")]);
      return { a, b, inbox };
    }

    test("delivers a frame octet for octet, to each listener", async () => {
      const { a, b, inbox } = await connected();
      const second = inboxOf(b);
      const sent = frame(a, { payload: [1, 2, 3] });
      expect(a.send(sent)).toBe(true);
      expect(await inbox.next()).toEqual(sent);
      expect(await second.next()).toEqual(sent);
    });

    test("knows the interface's own address", async () => {
      const { a } = await connected();
      expect(ip(`link show ${cable.a}`)).toContain(`link/ether ${a.mac} `);
    });

    test("delivers frames of other EtherTypes to others", async () => {
      const { a, inbox } = await connected();
      a.send(frame(a, { etherType: ARP }));
      a.send(frame(a, { etherType: ECP, payload: [7] }));
      expect(await inbox.next()).toEqual(frame(a, { etherType: ECP, payload: [7] }));
      expect(inbox.waiting).toBe(0);
    });

    test("keeps the tag of tagged frames in its place, priority and drop eligible bits too", async () => {
      const { a, inbox } = await connected();
      for (const tci of [0xb00a, 0x0000, 0x0ffe]) {
        const sent = frame(a, { tci, payload: [tci >> 8, tci & 0xff] });
        a.send(sent);
        expect(await inbox.next()).toEqual(sent);
      }
    });

    test("delivers frames of 1518 octets, and of 1522 with a tag", async () => {
      const { a, inbox } = await connected();
      for (const name of [cable.a, cable.b]) ip(`link set ${name} mtu 1504`);
      const long = frame(a, { payload: new Array(1504).fill(0x5a) });
      const tagged = frame(a, { tci: 10, payload: new Array(1504).fill(0xa5) });
      expect(long.length).toBe(1518);
      expect(a.send(long)).toBe(true);
      expect(a.send(tagged)).toBe(true);
      expect(await inbox.next()).toEqual(long);
      expect(await inbox.next()).toEqual(tagged);
    });

    test("delivers 1,000 frames sent at once, in their order, and counts none as lost", async () => {
      const { a, b, inbox } = await connected();
      for (let n = 0; n < 1000; n++) a.send(frame(a, { payload: [n >> 8, n & 0xff] }));
      for (let n = 0; n < 1000; n++) {
        expect((await inbox.next()).subarray(14, 16)).toEqual(Uint8Array.of(n >> 8, n & 0xff));
      }
      expect(b.dropped).toEqual({ in: 0, out: 0 });
    });

    test("does not deliver frames that were sent from this interface", async () => {
      const { a, b, inbox } = await connected();
      const other = openOn(cable.b);
      const otherInbox = inboxOf(other);
      await stateOf(other, "up");
      b.send(frame(b, { payload: [1] }));
      a.send(frame(a, { payload: [2] }));
      expect(await inbox.next()).toEqual(frame(a, { payload: [2] }));
      expect(await otherInbox.next()).toEqual(frame(a, { payload: [2] }));
      expect([inbox.waiting, otherInbox.waiting]).toEqual([0, 0]);
    });

    test("A9: hears each LLDP group on a port of a bridge, which keeps them from other sockets", async () => {
      const { a, inbox } = await connected();
      cable.makeBridge();
      for (const destination of ["01:80:c2:00:00:00", "01:80:c2:00:00:03", NEAREST_BRIDGE]) {
        a.send(frame(a, { destination }));
        expect(await inbox.next()).toEqual(frame(a, { destination }));
      }
    });

    test("waits for an interface that is not there yet", async () => {
      const a = openOn(cable.a);
      const b = openOn(cable.b);
      const inbox = inboxOf(b);
      expect([a.state, a.mac]).toEqual(["absent", undefined]);
      expect(a.send(frame(a))).toBe(false);
      expect(a.dropped.out).toBe(1);
      cable.make();
      await Promise.all([stateOf(a, "up"), stateOf(b, "up")]);
      a.send(frame(a));
      expect(await inbox.next()).toEqual(frame(a));
    });

    test("says when the carrier goes, and carries on when it is back", async () => {
      const { a, b, inbox } = await connected();
      for (const round of [1, 2, 3]) {
        const down = stateOf(b, "down");
        ip(`link set ${cable.a} down`);
        await Promise.all([down, stateOf(a, "down")]);
        expect(a.send(frame(a))).toBe(false);
        expect(a.dropped.out).toBe(round);
        ip(`link set ${cable.a} up`);
        await Promise.all([stateOf(a, "up"), stateOf(b, "up")]);
        a.send(frame(a, { payload: [round] }));
        expect(await inbox.next()).toEqual(frame(a, { payload: [round] }));
      }
    });

    test("hears of a flap that is over before anyone looked", async () => {
      const { a, b, inbox } = await connected();
      const seen: LinkState[] = [];
      b.onState((state) => seen.push(state));
      ip(`link set ${cable.b} down`);
      ip(`link set ${cable.b} up`);
      await until(() => seen.length >= 2);
      expect(seen).toEqual(["down", "up"]);
      await stateOf(a, "up");
      a.send(frame(a));
      expect(await inbox.next()).toEqual(frame(a));
    });

    test("follows an interface that is deleted and made again", async () => {
      const { a, b, inbox } = await connected();
      const seen: LinkState[] = [];
      b.onState((state) => seen.push(state));
      cable.remove();
      await Promise.all([stateOf(a, "absent"), stateOf(b, "absent")]);
      expect(b.mac).toBeUndefined();
      cable.make();
      await Promise.all([stateOf(a, "up"), stateOf(b, "up")]);
      a.send(frame(a));
      expect(await inbox.next()).toEqual(frame(a));
      expect(seen.filter((state) => state !== "down")).toEqual(["absent", "up"]);
    });

    test("follows an interface that is deleted and made again before anyone looked", async () => {
      const { a, b, inbox } = await connected();
      const seen: LinkState[] = [];
      b.onState((state) => seen.push(state));
      cable.remove();
      cable.make();
      await until(() => seen.includes("absent") && a.state === "up" && b.state === "up");
      a.send(frame(a));
      expect(await inbox.next()).toEqual(frame(a));
    });

    test("delivers nothing after close, though it was idle", async () => {
      const { a, b, inbox } = await connected();
      const other = openOn(cable.b);
      const otherInbox = inboxOf(other);
      await stateOf(other, "up");
      b.close();
      b.close();
      a.send(frame(a));
      expect(await otherInbox.next()).toEqual(frame(a));
      expect(inbox.waiting).toBe(0);
      expect(b.send(frame(b))).toBe(false);
    });

    test("delivers nothing after a close among the frames of one burst", async () => {
      const { a, b } = await connected();
      let frames = 0;
      const closed = new Promise<void>((resolve) => {
        b.onFrame(() => {
          frames += 1;
          b.close();
          setImmediate(resolve);
        });
      });
      for (let n = 0; n < 50; n++) a.send(frame(a));
      await closed;
      expect(frames).toBe(1);
    });

    test("opens 100 times in turn on one interface with no more than one descriptor for it", async () => {
      const { a } = await connected();
      openOn(cable.b).close();
      const before = descriptors();
      for (let n = 0; n < 100; n++) openOn(cable.b).close();
      const last = openOn(cable.b);
      const inbox = inboxOf(last);
      a.send(frame(a));
      expect(await inbox.next()).toEqual(frame(a));
      await until(() => descriptors() <= before + 1);
    });
  });
}

const descriptors = (): number => readdirSync("/proc/self/fd").length;

type Content = {
  destination?: string;
  etherType?: number;
  tci?: number;
  payload?: readonly number[];
};

function frame(
  from: Link,
  { destination = NEAREST_BRIDGE, etherType = LLDP, tci, payload = [] }: Content = {},
): Uint8Array {
  const source = macOctets(from.mac ?? Mac("02:00:00:00:00:01"));
  const tag = tci === undefined ? [] : [0x81, 0x00, tci >> 8, tci & 0xff];
  const octets = [
    ...macOctets(Mac(destination)),
    ...source,
    ...tag,
    etherType >> 8,
    etherType & 0xff,
    ...payload,
  ];
  return Uint8Array.from({ length: Math.max(60, octets.length) }, (_, i) => octets[i] ?? 0);
}

type Inbox = { next(): Promise<Uint8Array>; readonly waiting: number };

function inboxOf(link: Link): Inbox {
  const frames: Uint8Array[] = [];
  const takers: ((frame: Uint8Array) => void)[] = [];
  link.onFrame((octets) => {
    const taker = takers.shift();
    if (taker) taker(octets);
    else frames.push(octets);
  });
  return {
    get waiting() {
      return frames.length;
    },
    next: () => {
      const first = frames.shift();
      return first ? Promise.resolve(first) : new Promise((resolve) => takers.push(resolve));
    },
  };
}

function stateOf(link: Link, wanted: LinkState): Promise<void> {
  if (link.state === wanted) return Promise.resolve();
  return new Promise((resolve) => link.onState((state) => state === wanted && resolve()));
}

/** Where there is no event to await: looks again at each turn of the loop. The runner's time limit ends it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}
