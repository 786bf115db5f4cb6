import { openEdgePort } from "@nve/linux";
import {
  concat,
  defaultEvbPolicy,
  EtherType,
  ecpduOctets,
  frameOctets,
  GroupAddress,
  Mac,
  Uuid,
  uint,
} from "@nve/protocol-spec";
import { host, treeOf } from "../sim/hypervisor-agent/host.ts";
import { request } from "../sim/switch-agent/station.ts";
import { pass, settle, tor } from "../sim/switch-agent/tor.ts";
import { type Cable, cable } from "../support/cable.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import * as seeds from "./seeds.ts";
import type { Target } from "./target.ts";

// Whole agents on a cable in memory, whose other end sends whatever it likes. An input is a script: for each step an
// octet that says what is done, an argument of one octet, and for those that send a length of two octets and so much.

const MAX_LENGTH = 4000;
const hostile = Mac("52:54:00:aa:00:01");
const { nearestBridge, nearestCustomerBridge } = GroupAddress;

const STEP = { frame: 0, lldp: 1, ecp: 2, ack: 3, time: 4, flap: 5 } as const;
const STEPS = Object.keys(STEP).length;
const sending = (step: number, argument: number, octets: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(step, argument), uint(2, octets.length), octets);

type Step = { step: number; argument: number; octets: Uint8Array };

function* stepsOf(script: Uint8Array): Generator<Step> {
  for (let at = 0; at + 2 <= script.length; ) {
    const [step, argument] = [(script[at] ?? 0) % STEPS, script[at + 1] ?? 0];
    at += 2;
    const sends = step <= STEP.ecp;
    const length = sends ? (script[at] ?? 0) * 256 + (script[at + 1] ?? 0) : 0;
    if (sends) at += 2;
    yield { step, argument, octets: script.subarray(at, at + length) };
    at += length;
  }
}

/** Does what the script says at one end of the cable, on virtual time. */
async function play(
  script: Uint8Array,
  wire: Cable,
  us: "a" | "b",
  clock: FakeClock,
): Promise<void> {
  const link = wire[us];
  let sequence = 1000;
  const send = (etherType: number, payload: Uint8Array, destination = nearestCustomerBridge) => {
    const frame = frameOctets({ destination, source: hostile, etherType, payload });
    if (frame.length <= 1514) link.send(frame);
  };
  const ecp = (op: "request" | "ack", seq: number, ulpdu: Uint8Array) =>
    send(EtherType.ecp, ecpduOctets({ op, subtype: 1, sequence: seq & 0xffff, ulpdu }));
  for (const { step, argument, octets } of stepsOf(script)) {
    switch (step) {
      case STEP.frame:
        if (octets.length >= 14 && octets.length <= 1514) link.send(octets.slice());
        break;
      case STEP.lldp:
        send(EtherType.lldp, octets, argument % 2 === 0 ? nearestCustomerBridge : nearestBridge);
        break;
      case STEP.ecp:
        ecp("request", argument === 0 ? ++sequence : argument, octets);
        break;
      case STEP.ack:
        ecp("ack", argument, new Uint8Array());
        break;
      case STEP.flap:
        wire.set(argument % 2 === 0 ? "down" : "up");
        break;
      default:
        clock.advance(argument * 40); // 10 s at the most
    }
    clock.advance(1);
    await settle();
  }
  wire.set("up");
}

/** Each capture as a script, both directions; and our own ULPDUs, one and all. */
function scripts(): Uint8Array[] {
  const [hello = new Uint8Array()] = seeds.lldpdus();
  const greeting = sending(STEP.lldp, 0, hello);
  const ulpdus = seeds.ourVdpdus().map((ulpdu) => sending(STEP.ecp, 0, ulpdu));
  const wait = Uint8Array.of(STEP.time, 100);
  const flap = Uint8Array.of(STEP.flap, 0, STEP.flap, 1);
  const frames = seeds.frames().map((octets) => sending(STEP.frame, 0, octets));
  const captured = Array.from({ length: Math.ceil(frames.length / 20) }, (_, i) =>
    concat(...frames.slice(i * 20, i * 20 + 20)),
  );
  return [
    ...ulpdus.map((ulpdu) => concat(greeting, ulpdu, wait)),
    concat(greeting, ...ulpdus, wait),
    concat(greeting, ...ulpdus.slice(0, 4), flap, greeting, ...ulpdus.slice(4)),
    ...captured,
  ].filter(({ length }) => length <= MAX_LENGTH);
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

const innocent = request("associate", Uuid("aaaaaaaa-0000-4000-8000-000000000001"), {
  by: "group-mac-vid",
  entries: [{ groupId: 77, mac: Mac("02:00:00:00:00:77") }],
});

/** At one port of the switch anything comes in: at the other a station is served, and no limit is passed. */
async function switchAgent(script: Uint8Array): Promise<void> {
  const it = tor();
  it.nva.connect();
  const [wire] = it.cables;
  try {
    await play(script, wire, "a", it.clock);
    const [, station] = it.stations;
    station.lldp(true);
    await pass(it.clock, 5);
    station.ask(innocent);
    await pass(it.clock, 400, 10);
    const { status } = station.last ?? {};
    must(status?.is === "response" && status.code === 0, "the other port's station is not served");
    const pool = it.agent.core.ports.get("swp1")?.pool;
    must((pool?.lent.size ?? 0) <= 4093, "more tags lent than there are");
    must((it.agent.ports.get("swp1")?.edge.neighbours.length ?? 0) <= 16, "too many neighbours");
    it.agent.core.intents();
  } finally {
    await it.agent.close();
  }
}

/** The bridge says anything: the agent goes on, and holds no tag that is not there. */
async function hypervisorAgent(script: Uint8Array): Promise<void> {
  const clock = fakeClock();
  const wire = cable(clock);
  const it = host(wire.a, clock);
  const interfaces = ["tap0", "tap1"];
  for (const [i, name] of interfaces.entries())
    it.agent
      .attach(
        { interface: name, tree: treeOf(10001 + i, `02:00:00:00:00:0${i + 1}`) },
        { timeoutMs: 5000 },
      )
      .catch(() => {}); // it may be refused
  await play(script, wire, "b", clock);
  clock.advance(1000);
  await settle();
  for (const bound of it.bound()) {
    const vid = Number(bound.split(" ")[2]);
    must(vid >= 1 && vid <= 4094, `bound to tag ${vid}`);
  }
}

/** LLDP, EVB and ECP of one link in either role: what is held is bounded. */
const edge =
  (role: "bridge" | "station") =>
  async (script: Uint8Array): Promise<void> => {
    const clock = fakeClock();
    const wire = cable(clock);
    const id = { subtype: 7, octets: Uint8Array.of(1) };
    const port = openEdgePort({
      link: wire.a,
      clock,
      role,
      policy: defaultEvbPolicy,
      firstSequence: 0,
      lldp: { chassisId: id, portId: id, tlvs: [] },
      onVdpdu: (vdpdu) => port.send(vdpdu, () => {}),
      onEvb: () => {},
      onNeighbour: () => {},
      onState: () => {},
    });
    await play(script, wire, "b", clock);
    must(port.neighbours.length <= 16, "too many neighbours");
    port.close();
  };

const target = (name: string, run: Target["run"]): Target => ({
  name,
  seeds: scripts,
  run,
  maxLength: MAX_LENGTH,
  batch: 20,
});

export const agents: readonly Target[] = [
  target("edge-bridge", edge("bridge")),
  target("edge-station", edge("station")),
  target("switch-agent", switchAgent),
  target("hypervisor-agent", hypervisorAgent),
];
