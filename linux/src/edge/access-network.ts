import {
  type EvbAgreed,
  evbAgreed,
  evbStart,
  evbTlvFor,
  findExtension,
  GroupAddress,
  type Instant,
  type Lldpdu,
  lldpTiming,
  type Mac,
} from "@nve/protocol-spec";
import { type Ecp, openEcp } from "./ecp.ts";
import { type EvbSide, openEvb } from "./evb.ts";
import { openShare } from "./intake.ts";
import { type Heard, type Listener, listen } from "./neighbours.ts";
import { sendPdu } from "./send.ts";
import type { Shared, Side } from "./side.ts";
import { evbLldpdu, lastLldpdu, plainLldpdu, type Speaker, speak } from "./speak.ts";

/** A station, known by the address that its frames come from. */
type Station = {
  mac: Mac;
  heardAt: Instant;
  listener: Listener;
  tx: Speaker;
  evb: EvbSide;
  ecp: Ecp;
};

/** LLDP neighbours at one address: a station, and the same under a new name. */
const NAMES = 2;
/** All stations of a port together cost no more of our time than this many ports of one. */
const SHARES = 4;
/** Whoever has said nothing for so long makes room for a new station. */
const SILENT_MS = lldpTiming.ttlSeconds * 1000;

/**
 * Several stations behind one port, a bridge between (H3, RFC 8394 Req-1 and Req-2): EVB and ECP with each of them
 * apart, by their addresses and to their addresses. To the group, where all would answer as if they were meant, goes
 * only a LLDPDU without EVB TLV: whoever is there speaks up when it is new (802.1AB §9.2.5, fast start).
 */
export function openAccessNetwork(shared: Shared, max: number): Side {
  const { options, counters, report } = shared;
  const { clock, link, role, policy } = options;
  const stations = new Map<Mac, Station>();
  const intake = openShare(SHARES);
  const alone = evbAgreed(evbStart(role, policy));
  const call = speak(
    options,
    counters.lldp,
    () => GroupAddress.nearestCustomerBridge,
    () => plainLldpdu(options),
  );
  /** Those that do not speak EVB. */
  const others: Listener = listen(clock, (heard) => report(heard, others));
  let opened = 0;

  function open(mac: Mac): Station {
    opened += 1;
    const evb = openEvb(options, {
      onEvb: (agreed) => options.onEvb(agreed, mac),
      onAnew: () => options.onPeerAnew?.(mac),
    });
    const tx = speak(
      options,
      counters.lldp,
      () => mac,
      () => evbLldpdu(options, evb.local()),
    );
    const firstSequence = (options.firstSequence + opened * 7919) % 65_536; // not that of an earlier one at this address
    const listener = listen(clock, (heard) => hear(station, heard), NAMES);
    const isOurs = () =>
      listener.neighbours().some(({ lldpdu: { tlvs } }) => findExtension(tlvs) !== undefined);
    const lldpdu = () => listener.neighbours().at(-1)?.lldpdu;
    const peer = { agreed: evb.agreed, to: () => mac, lldpdu, isOurs, firstSequence, intake };
    const ecp = openEcp(shared, peer);
    const station: Station = { mac, heardAt: clock.now(), listener, tx, evb, ecp };
    stations.set(mac, station);
    ecp.linkUp();
    return station;
  }

  function hear({ tx, evb, listener }: Station, heard: Heard): void {
    const gone = heard.do === "neighbour-gone";
    const mustHear = evb.hear(gone ? undefined : evbTlvFor(role, heard.neighbour.lldpdu.tlvs));
    if (heard.do === "neighbour-new") tx({ on: "new-neighbour" });
    else if (gone && listener.neighbours().length === 0) tx({ on: "link-down" });
    else if (mustHear) tx({ on: "change" });
    report(heard, listener);
  }

  const isAllowed = (mac: Mac): boolean => options.isAllowed?.(mac) ?? true;

  /** @param speaksEvb has said so in LLDP: it goes before those that have not */
  function admit(mac: Mac, speaksEvb: boolean): Station | undefined {
    if (stations.size >= max) {
      const now = clock.now();
      const allowed = isAllowed(mac);
      const [silent] = [...stations.values()]
        .filter(({ mac: other, evb, heardAt }) => {
          if (isAllowed(other) !== allowed) return allowed;
          return now - heardAt > SILENT_MS || (speaksEvb && !evb.agreed().peer);
        })
        .sort((a, b) => a.heardAt - b.heardAt);
      if (silent === undefined) {
        options.onTooMany?.(mac);
        return undefined;
      }
      close(silent);
    }
    return open(mac);
  }

  /** It first shows that nothing is known of the station, so that one that knew us from before says all again. */
  function heardFrom(station: Station): Station {
    station.heardAt = clock.now();
    station.tx({ on: "link-up" });
    return station;
  }

  function close(station: Station): void {
    const { mac, tx, evb, listener, ecp } = station;
    counters.lldp.tooMany += listener.tooMany();
    tx({ on: "link-down" });
    listener.linkDown();
    ecp.linkDown();
    for (const part of [tx, evb, listener, ecp]) part.stop();
    stations.delete(mac);
  }

  const evbOf = (mac: Mac): EvbAgreed => stations.get(mac)?.evb.agreed() ?? alone;

  return {
    get peers() {
      return [...stations.values()].map(({ mac, evb, ecp, listener }) => {
        const lldpdu = listener.neighbours().at(-1)?.lldpdu;
        return { mac, evb: evb.agreed(), ecp: ecp.counters(), ...(lldpdu && { lldpdu }) };
      });
    },
    get evb() {
      const all = [...stations.values()].map(({ evb }) => evb.agreed());
      const some = (what: "peer" | "groupId") => all.some((agreed) => agreed[what]);
      return { ...alone, peer: some("peer"), groupId: some("groupId") };
    },
    evbOf,
    lldpdu: (lldpdu: Lldpdu, source) => {
      const known = stations.get(source);
      if (known === undefined && evbTlvFor(role, lldpdu.tlvs) === undefined) {
        others.hear(lldpdu, source);
        return;
      }
      const station = known ?? admit(source, true);
      if (station === undefined) counters.lldp.strangers += 1;
      else (lldpdu.ttl === 0 ? station : heardFrom(station)).listener.hear(lldpdu, source);
    },
    ecpdu: (ecpdu, source) => {
      const known = stations.get(source);
      const station = known ?? (ecpdu.op === "request" ? admit(source, false) : undefined);
      if (station === undefined) counters.ecp.strangers += 1;
      else heardFrom(station).ecp.hear(ecpdu, source);
    },
    send: (vdpdu, undelivered, to) => {
      const station = to === undefined ? undefined : stations.get(to);
      if (station !== undefined) return station.ecp.send(vdpdu, undelivered);
      counters.ecp.givenUp += 1;
      undelivered();
    },
    neighboursAt: (mac) => stations.get(mac)?.listener.neighbours() ?? [],
    listeners: () => [...[...stations.values()].map(({ listener }) => listener), others],
    linkUp: () => {
      // What anybody remembers of us is not true any more: then we are new to them.
      if (sendPdu(link, "lldp", lastLldpdu(options))) counters.lldp.out += 1;
      call({ on: "link-up" });
    },
    linkDown: () => {
      call({ on: "link-down" });
      for (const station of [...stations.values()]) close(station);
      others.linkDown();
    },
    stop: (how) => {
      if (how === undefined) call({ on: "stop" });
      call.stop();
      others.stop();
      for (const { tx, evb, listener, ecp } of stations.values()) {
        if (how === undefined) tx({ on: "stop" });
        for (const part of [tx, evb, listener, ecp]) part.stop();
      }
      stations.clear();
    },
  };
}
