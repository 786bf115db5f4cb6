import { type EdgePort, type LinkState, openEdgePort } from "@nve/linux";
import {
  type Association,
  type BridgeAction,
  type BridgeEvent,
  type EvbAgreed,
  type Filters,
  labelsOf,
  type Mac,
  type Neighbour,
  namesOf,
  nameTlvs,
  setTlv,
  type Vdpdu,
  VdpError,
  type VdpTlv,
  type VsiRequest,
  type VsiSet,
  vdpTimes,
} from "@nve/protocol-spec";
import type { Refusal } from "@nve/switch-agent/nve";
import { firstOf, saidBeside, wholeOf } from "./addresses.ts";
import { type Answer, Answers } from "./answers.ts";
import { type Authentic, openAuthentic } from "./authentic.ts";
import { mtusBeside, reasonBeside } from "./beside.ts";
import { Door } from "./door.ts";
import { announcementOf, vsiKey } from "./names.ts";
import type { PortOptions } from "./options.ts";
import { Orders } from "./orders.ts";
import { PortLog } from "./port-log.ts";
import { isRefusal, Sets, type Whose } from "./sets.ts";
import { turnedAway } from "./turn-away.ts";
import { ulpdusOf } from "./ulpdus.ts";
import { noneYet, type VdpCounters } from "./vdp-counters.ts";
import { inItsWords } from "./vn-names.ts";
import { askOf, openVsi, remember, type Vsi } from "./vsi.ts";

/** How long an answer waits for others of the same ECPDU. */
const PATIENCE_MS = 50;
/** Reasons of the machine's own: the resource wait, the keepalive timeout. */
const LATE = "there was no decision in time";
const SILENT = "no keepalive has come from the station";

/**
 * One access port: LLDP with EVB and ECP in the bridge role, and a VDP bridge machine for each VSI. It knows
 * what the stations want and what they were told, not who may join what.
 */
export class AccessPort {
  readonly name: string;
  readonly edge: EdgePort;
  readonly vdp: VdpCounters;
  readonly door: Door;
  readonly authentic: Authentic;
  readonly #options: PortOptions;
  readonly #log: PortLog;
  readonly #vsis = new Map<string, Vsi>();
  readonly #sets: Sets;
  readonly #orders = new Orders(({ station, manager, orders }) =>
    this.#send(station, manager, orders),
  );
  #state: LinkState;

  constructor(options: PortOptions) {
    this.name = options.name;
    this.#options = options;
    const { link, clock, stations, maxAddresses } = options;
    const log = options.log.child({ port: options.name });
    this.#log = new PortLog(log, options);
    this.door = new Door(options.access, clock, log);
    this.authentic = openAuthentic(options.auth, link, clock, log);
    this.#state = options.link.state;
    const ask = (whose: Whose, set: VsiSet): void => this.#askFor(whose, set);
    this.#sets = new Sets({ clock, stations, maxAddresses, ask });
    this.vdp = Object.assign(this.#sets.counters, noneYet());
    this.edge = openEdgePort({
      link: options.link,
      clock: options.clock,
      role: "bridge",
      policy: options.policy,
      firstSequence: options.firstSequence,
      stations: options.stations,
      lldp: announcementOf(options, this.authentic.tlvs),
      guard: this.authentic.guard,
      onVdpdu: (vdpdu, source, proven) => {
        if (this.door.lets(source)) this.#vdpdu(vdpdu, source, proven);
        else this.#turnAway(vdpdu, source);
      },
      onEvb: (agreed, station) => this.#evb(agreed, station),
      isAllowed: (station) => this.door.lets(station),
      onTooMany: (station) => this.#log.tooMany(station),
      onNeighbour: (what, neighbour) =>
        this.#log.neighbour(what, neighbour, () => this.edge.neighbours),
      onState: (state) => this.#linkState(state),
    });
    this.#log.link(this.#state);
  }

  /** How long a decision may take before any station is refused, milliseconds. */
  get resourceWaitMs(): number {
    return vdpTimes(this.edge.evb).resourceWaitMs;
  }

  /** Several stations, told apart by their addresses (H3, RFC 8394 Req-2). */
  get isAccessNetwork(): boolean {
    return this.#options.stations > 1;
  }

  /** Frames that its link did not deliver or send, by reason, since the start. */
  get dropped(): Readonly<Record<string, number>> {
    const { in: droppedIn, out: droppedOut, ...reasons } = this.#options.link.dropped;
    return { droppedIn, droppedOut, ...reasons };
  }

  get state(): LinkState {
    return this.#state;
  }

  /** @param inForce the filters of the request, with every VID and VN ID filled in */
  grant(key: string, inForce: Filters): void {
    const vsi = this.#vsis.get(key);
    const request = vsi?.machine.state();
    if (vsi === undefined || request?.is !== "process") return; // too late
    vsi.deciding = false;
    const { association } = request.request;
    const { vsiId } = association;
    const { filters, names } = inItsWords(association.filters, inForce, vsi.names);
    vsi.beside = names.length === 0 ? [] : nameTlvs({ vsiId, entries: names });
    this.#feed(vsi, { on: "grant", association: { ...association, filters }, inForce });
  }

  refuse(key: string, { code, hard, reason }: Refusal): void {
    const vsi = this.#vsis.get(key);
    if (vsi === undefined) return;
    vsi.deciding = false;
    if (vsi.machine.state().is === "process") vsi.why = reason; // else it comes too late
    this.#feed(vsi, { on: "refuse", code, hard });
  }

  /** Tells the station that the VSI is no more, and why. */
  withdraw(key: string, why: string): void {
    const vsi = this.#vsis.get(key);
    if (vsi === undefined) return;
    vsi.why = why;
    this.#feed(vsi, { on: "withdraw" });
  }

  /** LLDP with TTL 0, unless it is to be kept, and silence: the stations' VSIs stay with them until they notice. */
  close(how?: "keep"): void {
    for (const { machine } of this.#vsis.values()) machine.stop();
    this.#vsis.clear();
    this.#sets.stop();
    this.edge.close(how);
  }

  #turnAway(vdpdu: Vdpdu, station: Mac): void {
    const refusal = this.door.turnAway(station);
    if (refusal === undefined) return;
    const { manager } = vdpdu;
    const isHeld = (one: Association) => this.#vsis.has(this.#key(manager, one, station));
    const port = { name: this.name, neighbours: this.edge.neighboursAt(station) };
    const { answers, refused } = turnedAway(vdpdu, station, refusal, isHeld, port);
    for (const ask of refused) this.#options.onRefused(ask, refusal);
    this.#send(station, manager, answers);
  }

  #vdpdu(vdpdu: Vdpdu, source: Mac, proven: boolean): void {
    const { manager, tlvs } = vdpdu;
    this.#sets.hear(source, manager, tlvs);
    const answers = new Answers(this.#options.clock, PATIENCE_MS, (ready) => {
      this.vdp.responsesOut += ready.length;
      this.#send(source, manager, ready);
    });
    for (const tlv of tlvs) {
      if (tlv.is !== "association") continue;
      if (tlv.association.status.is === "response") this.vdp.unexpected += 1;
      else this.#request(tlv, vdpdu, { station: source, proven }, answers.place());
    }
    answers.close();
  }

  #request(
    { type, association }: VdpTlv & { is: "association" },
    { manager, tlvs }: Vdpdu,
    { station: source, proven }: { station: Mac; proven: boolean },
    answer: Answer,
  ): void {
    this.vdp.requestsIn += 1;
    const vsi = this.#vsi(this.#key(manager, association, source), manager, source);
    const stolen = this.door.owner(vsi, source, proven, this.edge.neighboursAt(source));
    if (stolen !== undefined) {
      const ask = askOf(vsi, { type: "associate", association }, this.name, []);
      if (stolen.told) this.#options.onRefused(ask, stolen.refusal);
      answer();
      return;
    }
    if (type === "de-associate") {
      this.#sets.forget({ station: source, manager, vsiId: association.vsiId });
      vsi.answer?.();
      vsi.answer = answer;
      vsi.entries = association.filters.entries.length;
      this.#feed(vsi, { on: "de-associate", association });
    } else if (vsi.deciding) {
      answer(); // a repeat: it is answered when the first is
    } else {
      this.#wanted(vsi, { type, association }, tlvs, source, answer);
    }
    if (!vsi.deciding) answer(); // nothing more will come; after an answer this does nothing
  }

  /** With all that is said with it. When it names a set that is not here, the station says that and asks again. */
  #wanted(
    vsi: Vsi,
    { type, association }: VsiRequest,
    tlvs: readonly VdpTlv[],
    source: Mac,
    answer: Answer,
  ): void {
    const { vsiId, filters } = association;
    const whose = { station: source, manager: vsi.manager, vsiId };
    const said = saidBeside(vsiId, tlvs, vsi.said, (set) => this.#sets.take(whose, set));
    if (said === undefined) {
      this.#forgetIfOver(vsi);
      return;
    }
    vsi.answer = answer;
    vsi.station = source;
    vsi.entries = filters.entries.length;
    vsi.names = namesOf(vsiId, tlvs);
    vsi.labels = labelsOf(vsiId, tlvs);
    const whole = this.door.checked(vsi, wholeOf(association, said, this.#options.maxAddresses));
    if (isRefusal(whole)) {
      this.#refuseAtOnce(vsi, { type, association }, whole);
      return;
    }
    const { addresses } = whole.said;
    const news = addresses !== vsi.addresses;
    vsi.addresses = addresses;
    remember(vsi, whole.said);
    this.#feed(vsi, { on: "request", request: { type, association: whole.association } });
    if (!vsi.deciding && news && addresses !== undefined) {
      this.#options.onAddresses(vsi.key, addresses);
    }
  }

  /** Nobody needs to be asked: what was before stays. */
  #refuseAtOnce(vsi: Vsi, request: VsiRequest, refusal: Refusal): void {
    const { code, hard, reason } = refusal;
    const keep = vsi.machine.state().is === "up";
    const status = { is: "response", keep, hard, code } as const;
    vsi.why = reason;
    const { type, association } = request;
    this.#respond(vsi, { do: "respond", type, association: { ...association, status } });
    this.#options.onRefused(askOf(vsi, request, this.name, this.#neighboursOf(vsi)), refusal);
    this.#forgetIfOver(vsi);
  }

  #askFor({ station, manager }: Whose, set: VsiSet): void {
    this.#send(station, manager, [[setTlv(set)]]);
  }

  /** On an access network each station has VSIs of its own. */
  #key(manager: Uint8Array, association: Association, station: Mac): string {
    return vsiKey(this.name, manager, association, this.isAccessNetwork ? station : undefined);
  }

  #vsi(key: string, manager: Uint8Array, station: Mac): Vsi {
    const known = this.#vsis.get(key);
    if (known !== undefined) return known;
    const vsi = openVsi({
      key,
      manager,
      station,
      clock: this.#options.clock,
      times: () => vdpTimes(this.edge.evbOf(station)),
      perform: (vsi, action) => {
        this.#perform(vsi, action);
        this.#forgetIfOver(vsi);
      },
    });
    this.#vsis.set(key, vsi);
    return vsi;
  }

  #feed(vsi: Vsi, event: BridgeEvent): void {
    vsi.machine(event);
    this.#forgetIfOver(vsi);
  }

  #forgetIfOver(vsi: Vsi): void {
    if (vsi.machine.state().is !== "none") return;
    this.door.forget(vsi);
    if (this.#vsis.get(vsi.key) === vsi) this.#vsis.delete(vsi.key);
  }

  #perform(vsi: Vsi, action: BridgeAction): void {
    switch (action.do) {
      case "decide":
        this.#decide(vsi, action.request);
        return;
      case "respond":
        this.#respond(vsi, action);
        return;
      case "order-de-associate":
        this.vdp.orders += 1;
        this.#order(vsi, action);
        return;
      case "release":
        this.#options.onRelease(vsi.key, action.why);
        return;
    }
  }

  #decide(vsi: Vsi, request: VsiRequest): void {
    const ask = askOf(vsi, request, this.name, this.#neighboursOf(vsi));
    vsi.deciding = true;
    const { groupId, peer } = this.edge.evbOf(vsi.station);
    // Before the first LLDPDU nothing is known: a station that outlived us asks at once.
    if (peer && !groupId && ask.filters.by.startsWith("group")) {
      const reason = "the station uses GroupIDs and has not announced them in its EVB TLV";
      const refusal = { code: VdpError.invalidFormat, hard: false, reason };
      this.refuse(vsi.key, refusal);
      this.#options.onRefused(ask, refusal);
    } else {
      this.#options.onAsk(ask, vsi.names);
    }
  }

  #respond(vsi: Vsi, { type, association: whole }: BridgeAction & { do: "respond" }): void {
    const association = { ...whole, filters: firstOf(whole.filters, vsi.entries) };
    if (vsi.deciding) {
      vsi.deciding = false; // the machine did not wait for us: resource wait, or the station took it back
      this.#options.onCancel(vsi.key);
    }
    const { code } = association.status;
    if (code !== VdpError.success) this.vdp.refused += 1;
    this.door.settle(vsi, code === VdpError.success);
    const tlvs: VdpTlv[] = [
      { is: "association", type, association },
      ...(code === VdpError.success ? vsi.beside : this.#reason(vsi, association, LATE)),
      ...(code === VdpError.success ? this.#mtus(vsi) : []),
    ];
    vsi.beside = [];
    const { answer } = vsi;
    vsi.answer = undefined;
    if (answer !== undefined) answer(...tlvs);
    else this.#send(vsi.station, vsi.manager, [tlvs]);
  }

  #reason(vsi: Vsi, association: Association, otherwise: string): VdpTlv[] {
    const text = vsi.why ?? otherwise;
    vsi.why = undefined;
    return reasonBeside(this.#neighboursOf(vsi), vsi.station, association, text);
  }

  #mtus(vsi: Vsi): VdpTlv[] {
    const state = vsi.machine.state();
    if (state.is !== "up") return [];
    const { association } = state.granted;
    return mtusBeside(this.#neighboursOf(vsi), vsi.station, association, this.#options.mtuOf);
  }

  #neighboursOf({ station }: Vsi): readonly Neighbour[] {
    return this.edge.neighboursAt(station);
  }

  #order(vsi: Vsi, { association: whole }: BridgeAction & { do: "order-de-associate" }): void {
    const association = { ...whole, filters: firstOf(whole.filters, vsi.entries) };
    const reason = this.#reason(vsi, association, SILENT);
    this.#orders.add(vsi, [{ is: "association", type: "de-associate", association }, ...reason]);
  }

  /** As few ULPDUs as it takes; what belongs together stays together. */
  #send(station: Mac, manager: Uint8Array, groups: readonly (readonly VdpTlv[])[]): void {
    for (const tlvs of ulpdusOf(manager, groups)) {
      const undelivered = (): void => {
        this.vdp.undelivered += 1;
        this.#log.undelivered(station, tlvs.length);
      };
      this.edge.send({ manager, tlvs }, undelivered, station);
    }
  }

  /** On an access network it is between us and one station, and so are the times. */
  #evb(agreed: EvbAgreed, station: Mac | undefined): void {
    for (const vsi of this.#vsis.values()) {
      if (!this.isAccessNetwork || vsi.station === station) vsi.machine({ on: "times" });
    }
    this.#log.evb(agreed, station);
  }

  #linkState(state: LinkState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const vsi of state === "up" ? [] : this.#vsis.values()) vsi.owner = undefined;
    this.#log.link(state);
    this.#options.onState(state);
  }
}
