import {
  controlFrames,
  type Link,
  type LinkOptions,
  linkMonitor,
  openPacketLink,
  openPcapLink,
  probeFeatures,
} from "@nve/linux";
import { EtherType, frameOctets, GroupAddress, Mac } from "@nve/protocol-spec";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { ip, type Veth, vethPair } from "../support/netns.ts";

const hostile = Mac("02:00:00:00:00:99");
const { nearestCustomerBridge, nearestBridge } = GroupAddress;
const [{ burst, perSecond } = { burst: 0, perSecond: 0 }] = controlFrames.map(
  ({ intake }) => intake.frames,
);

const frame = (destination: Mac, etherType: number, mark = 0, vid?: number): Uint8Array =>
  frameOctets({
    destination,
    source: hostile,
    ...(vid !== undefined && { tag: { pcp: 0, dei: false, vid } }),
    etherType,
    payload: Uint8Array.from({ length: 46 }, (_, i) => (i === 0 ? mark : 0)),
  });

/** What each driver does with frames on an access link. */
function controlLink(driver: string, open: (options: LinkOptions) => Link): void {
  describe(`a ${driver} link of control protocols`, () => {
    let cable: Veth;
    let links: Link[];
    beforeAll(() => linkMonitor().ready);
    beforeEach(() => {
      cable = vethPair();
      links = [];
    });
    afterEach(() => {
      for (const link of links) link.close();
      cable.remove();
    });

    async function connected(): Promise<{ sender: Link; link: Link; heard: Uint8Array[] }> {
      cable.make();
      const sender = openPacketLink({ interface: cable.a, etherTypes: [0x88b5] });
      const link = open({ interface: cable.b, etherTypes: controlFrames });
      links.push(sender, link);
      const heard: Uint8Array[] = [];
      link.onFrame((octets) => heard.push(octets));
      await until(
        "both ends to be up",
        () => (sender.state === "up" && link.state === "up") || undefined,
      );
      return { sender, link, heard };
    }
    const macOf = (link: Link): Mac => link.mac ?? Mac("00:00:00:00:00:00");

    test("delivers LLDP and ECP to their groups and to the interface, and counts the rest of them", async () => {
      const { sender, link, heard } = await connected();
      const wanted = [
        frame(nearestCustomerBridge, EtherType.lldp, 1),
        frame(nearestBridge, EtherType.lldp, 2),
        frame(macOf(link), EtherType.lldp, 3),
        frame(nearestCustomerBridge, EtherType.lldp, 4, 0),
      ];
      const strays = [
        frame(nearestBridge, EtherType.ecp),
        frame(Mac("ff:ff:ff:ff:ff:ff"), EtherType.ecp),
        frame(Mac("52:54:00:00:00:01"), EtherType.lldp),
        frame(nearestCustomerBridge, EtherType.lldp, 0, 2),
        frame(nearestCustomerBridge, EtherType.ecp).subarray(0, 17),
      ];
      for (const octets of [...strays, frame(macOf(link), 0x88b5), ...wanted]) sender.send(octets);
      await until("the last of them", () => heard.length >= wanted.length || undefined);
      await until("all strays", () => {
        const { stray } = link.dropped;
        return stray === strays.length || undefined;
      });
      expect(heard).toEqual(wanted);
      expect(link.dropped).toMatchObject({ in: 0 });
      sender.send(frame(macOf(link), EtherType.ecp, 5));
      await until("ECP", () => heard.length > wanted.length || undefined);
    });

    test("hears its own address as it is now", async () => {
      const { sender, link, heard } = await connected();
      const [before, after] = [macOf(link), Mac("02:00:00:00:0a:0b")];
      ip(`link set ${cable.b} address ${after}`);
      await until("the new address", () => link.mac === after || undefined);
      sender.send(frame(before, EtherType.ecp, 1));
      sender.send(frame(after, EtherType.ecp, 2));
      await until("the frame", () => heard.length > 0 || undefined);
      expect(heard).toEqual([frame(after, EtherType.ecp, 2)]);
    });

    test("V10: of a flood of LLDP no more comes in than the limit, and the rest is counted", async () => {
      const { sender, link, heard } = await connected();
      const begun = performance.now();
      for (let n = 0; n < 4000; n++) sender.send(frame(nearestCustomerBridge, EtherType.lldp));
      const dropped = () => {
        const { droppedLldp = 0 } = link.dropped;
        return droppedLldp;
      };
      await until("drops", () => (dropped() > 500 && heard.length >= burst) || undefined);
      const seconds = (performance.now() - begun) / 1000;
      expect(heard.length).toBeLessThanOrEqual(burst + perSecond * seconds + 2);
      expect(link.dropped.in).toBeGreaterThanOrEqual(dropped());
      expect(link.dropped.in + heard.length).toBeLessThanOrEqual(4000);
    });

    // libpcap has one buffer for all that it hears
    test.skipIf(driver === "pcap")(
      "V10: beside a flood of LLDP, ECP is heard at once",
      async () => {
        const { sender, heard } = await connected();
        for (let n = 0; n < 4000; n++) sender.send(frame(nearestCustomerBridge, EtherType.lldp));
        sender.send(frame(nearestCustomerBridge, EtherType.ecp));
        const isEcp = (octets: Uint8Array) => octets[13] === (EtherType.ecp & 0xff);
        await until("ECP", () => heard.some(isEcp) || undefined, 1000);
      },
    );
  });
}

controlLink("packet", openPacketLink);
if (probeFeatures().some(({ name, ok }) => name === "pcap" && ok))
  controlLink("pcap", openPcapLink);
else test.skip("a pcap link of control protocols: npm pcap is not there", () => {});
