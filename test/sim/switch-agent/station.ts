import type { Link } from "@nve/linux";
import {
  type Association,
  type AssociationType,
  addressTlvs,
  announcing,
  decode,
  EtherType,
  type EvbTlv,
  type ExtensionKind,
  ecpduOctets,
  evbOptionalTlv,
  type Filters,
  frameOctets,
  GroupAddress,
  type IpAddress,
  lldpduOctets,
  Mac,
  readEcpdu,
  readFrame,
  readMtus,
  readNames,
  readReason,
  readSet,
  readVdpdu,
  type Status,
  type Uuid,
  uuidOctets,
  type VdpTlv,
  type VnMtu,
  type VnNaming,
  type VsiAddress,
  type VsiSet,
  vdpduOctets,
} from "@nve/protocol-spec";

const mac = Mac("52:54:00:aa:00:01");
export const manager = Uint8Array.from({ length: 16 }, (_, i) =>
  i < 4 ? "mgr1".charCodeAt(i) : 0,
);

/** An answer, or an order of the bridge. */
export type Heard = { type: AssociationType; status: Status; filters: Filters };

/** A station written down frame by frame: it acknowledges what it gets, and notes it by ECPDU. */
export class Station {
  readonly heard: Heard[][] = [];
  /** `<code> <text>` of the reasons among them. */
  readonly reasons: string[] = [];
  /** The MTUs that were told last. */
  mtus: readonly VnMtu[] | undefined;
  /** The VNs that were told by name. */
  readonly named: VnNaming[] = [];
  /** The sets that it was asked for. */
  readonly asked: VsiSet[] = [];
  acks = 0;
  acknowledging = true;
  /** Stations that share a link begin apart. */
  #sequence: number;
  readonly #link: Link;
  readonly #mac: Mac;
  readonly #name: string;

  /** @param name chassis ID and system name, as LLDP has them */
  constructor(link: Link, address: Mac = mac, name = "server1") {
    this.#link = link;
    this.#mac = address;
    this.#sequence = 100 * Number.parseInt(address.slice(-2), 16);
    this.#name = name;
    link.onFrame((octets) => this.#hear(octets));
  }

  /** All that was answered, in order, whatever the ECPDU. */
  get answers(): Heard[] {
    return this.heard.flat();
  }

  get last(): Heard | undefined {
    return this.answers.at(-1);
  }

  raw(octets: Uint8Array): void {
    this.#link.send(octets);
  }

  lldp(groupId: boolean, ...reads: ExtensionKind[]): void {
    const evb: EvbTlv = {
      bridge: { groupId: false, reflectiveRelayCapable: false, reflectiveRelay: false },
      station: { groupId, reflectiveRelayRequest: false, reflectiveRelay: 3 },
      r: 3,
      rte: 14,
      rwd: 20,
      rka: 20,
      rolRwd: false,
      rolRka: false,
      mode: 2,
    };
    const text = new TextEncoder();
    const payload = lldpduOctets({
      chassisId: { subtype: 7, octets: text.encode(this.#name) },
      portId: { subtype: 5, octets: text.encode("eth0") },
      ttl: 120,
      tlvs: [{ is: "system-name", text: this.#name }, evbOptionalTlv(evb), announcing(...reads)],
    });
    this.#frame(EtherType.lldp, payload);
  }

  /** One ECPDU with these requests. */
  ask(...tlvs: VdpTlv[]): void {
    this.#sequence += 1;
    const ulpdu = vdpduOctets({ manager, tlvs });
    this.#ecp({ op: "request", sequence: this.#sequence, ulpdu });
  }

  ecp(ulpdu: Uint8Array): void {
    this.#sequence += 1;
    this.#ecp({ op: "request", sequence: this.#sequence, ulpdu });
  }

  #hear(octets: Uint8Array): void {
    const frame = decode(octets, readFrame);
    if (frame.etherType !== EtherType.ecp) return;
    const { op, sequence, ulpdu } = decode(frame.payload, readEcpdu);
    if (op === "ack") {
      this.acks += 1;
      return;
    }
    if (!this.acknowledging) return;
    this.#ecp({ op: "ack", sequence, ulpdu: new Uint8Array() });
    const { tlvs } = decode(ulpdu, readVdpdu);
    for (const tlv of tlvs) {
      const reason = tlv.is === "organizational" ? readReason(tlv) : undefined;
      if (reason !== undefined) this.reasons.push(`${reason.code} ${reason.text}`);
      const set = tlv.is === "organizational" ? readSet(tlv) : undefined;
      if (set !== undefined) this.asked.push(set);
      const names = tlv.is === "organizational" ? readNames(tlv) : undefined;
      this.named.push(...(names?.entries ?? []));
      const mtus = tlv.is === "organizational" ? readMtus(tlv) : undefined;
      if (mtus !== undefined) this.mtus = mtus.entries;
    }
    this.heard.push(
      tlvs.flatMap((tlv) => {
        if (tlv.is !== "association") return [];
        const { status, filters } = tlv.association;
        return [{ type: tlv.type, status, filters }];
      }),
    );
  }

  #ecp(pdu: { op: "request" | "ack"; sequence: number; ulpdu: Uint8Array }): void {
    this.#frame(EtherType.ecp, ecpduOctets({ ...pdu, subtype: 1 }));
  }

  #frame(etherType: number, payload: Uint8Array): void {
    const destination = GroupAddress.nearestCustomerBridge;
    this.#link.send(frameOctets({ destination, source: this.#mac, etherType, payload }));
  }
}

export function request(
  type: AssociationType,
  vnic: Uuid,
  filters: Filters,
  hints: { suspended?: boolean; migrating?: boolean } = {},
): VdpTlv {
  const association: Association = {
    status: { is: "request", suspended: false, migrating: false, code: 0, ...hints },
    vsiType: { id: 7, version: 1 },
    vsiId: { format: 5, octets: uuidOctets(vnic) },
    filters,
  };
  return { is: "association", type, association };
}

export const addresses = (vnic: Uuid, ...entries: VsiAddress<IpAddress>[]): VdpTlv[] =>
  addressTlvs({ vsiId: { format: 5, octets: uuidOctets(vnic) }, entries });
