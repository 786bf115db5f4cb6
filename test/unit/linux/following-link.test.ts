import {
  followingLink,
  type LinkChanged,
  type LinkInfo,
  type LinkMonitor,
  type LinkState,
  type Port,
} from "@nve/linux";
import { Mac } from "@nve/protocol-spec";
import { expect, test } from "vitest";

const UP = 0x10001;
const eth1 = (index: number, flags: number): LinkInfo => ({
  index,
  name: "eth1",
  flags,
  mtu: 1500,
  mac: Mac("02:00:00:00:00:01"),
});

/** A monitor and a driver that write down what the link asks of them. */
function world(start?: LinkInfo, opens = true) {
  const log: string[] = [];
  const states: LinkState[] = [];
  let now = start;
  let tell: LinkChanged = () => {};
  let receive = (_: Uint8Array): void => {};
  const monitor: LinkMonitor = {
    ready: Promise.resolve(),
    find: () => now,
    watch: (_, changed) => {
      tell = changed;
      return () => log.push("unwatch");
    },
  };
  const port = (index: number): Port => ({
    send: () => true,
    lost: () => ({ in: 3, stray: 1 }),
    close: () => log.push(`close ${index}`),
  });
  const link = followingLink(
    "eth1",
    (info, deliver) => {
      if (!opens) return undefined;
      log.push(`open ${info.index}`);
      receive = deliver;
      return port(info.index);
    },
    monitor,
  );
  link.onState((state) => states.push(state));
  return {
    log,
    states,
    link,
    hear: (frame: Uint8Array) => receive(frame),
    tell: (info: LinkInfo | undefined, lost = false) => {
      now = info;
      tell(info, lost);
    },
  };
}

test("an interface that is there when the link opens is known at once", () => {
  const { link, log } = world(eth1(5, UP));
  expect([link.state, link.mac, log]).toEqual(["up", "02:00:00:00:00:01", ["open 5"]]);
});

test("one port stays open while the same interface goes down and up", () => {
  const { states, log, tell } = world(eth1(5, UP));
  tell(eth1(5, 1));
  tell(eth1(5, UP));
  tell(eth1(5, UP));
  expect([states, log]).toEqual([["down", "up"], ["open 5"]]);
});

test("an interface that is replaced in one step was absent in between", () => {
  const { states, log, tell } = world(eth1(5, UP));
  tell(eth1(6, UP));
  expect([states, log]).toEqual([
    ["absent", "up"],
    ["open 5", "close 5", "open 6"],
  ]);
});

test("when events were lost, the link counts as having been down", () => {
  const { states, log, tell } = world(eth1(5, UP));
  tell(eth1(5, UP), true);
  expect([states, log]).toEqual([["down", "up"], ["open 5"]]);
});

test("an interface whose port cannot be opened is down, and refuses frames", () => {
  const { link } = world(eth1(5, UP), false);
  expect([link.state, link.send(new Uint8Array(60)), link.dropped.out]).toEqual(["down", false, 1]);
});

test("what was lost is counted over all ports", () => {
  const { link, tell } = world(eth1(5, UP));
  expect(link.dropped).toMatchObject({ in: 3, stray: 1 });
  tell(undefined);
  expect(link.dropped).toMatchObject({ in: 6, stray: 2 });
});

test("a link that is closed by who hears of its state opens nothing more", () => {
  const { link, log, tell } = world(eth1(5, UP));
  link.onState(() => link.close());
  tell(eth1(6, UP));
  expect(log).toEqual(["open 5", "close 5", "unwatch"]);
});

test("after close nothing is delivered, sent or told", () => {
  const { link, states, log, hear, tell } = world(eth1(5, UP));
  const frames: Uint8Array[] = [];
  link.onFrame((frame) => frames.push(frame));
  link.close();
  hear(Uint8Array.of(1));
  tell(undefined);
  expect([frames, states, link.send(Uint8Array.of(1))]).toEqual([[], [], false]);
  expect(log).toEqual(["open 5", "unwatch", "close 5"]);
});
