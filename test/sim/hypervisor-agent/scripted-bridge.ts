import { type Clock, type EdgePort, type Link, openEdgePort } from "@nve/linux";
import {
  type Association,
  type AssociationType,
  addressesOf,
  announcing,
  defaultEvbPolicy,
  mtuTlvs,
  reasonTlv,
  type Vdpdu,
  type VdpTlv,
  Vid,
  VnId,
  vsiIdText,
} from "@nve/protocol-spec";

/** A request as the bridge got it. `entries`: `<vn> <mac> <vid or ->`. */
export type Heard = { type: AssociationType; vnic: string; entries: string[]; ips: string[] };

/** What the bridge does with a request: an error code, nothing at all, or (0) a grant of tag 100 + VN. */
export type Verdict = { code: number; keep?: boolean; hard?: boolean; reason?: string } | "silent";

export type ScriptedBridge = {
  readonly edge: EdgePort;
  /** By ULPDU: what came in. */
  readonly heard: Heard[][];
  verdict: (type: AssociationType, request: Heard) => Verdict;
  /** De-Associate of our own (bit 7 = 0) for what was heard last of this VNIC. */
  order(vnic: string): void;
  /** Of all VNs, beside each grant. */
  mtu: number | undefined;
};

export type BridgeOptions = { groupId?: boolean; readsAddresses?: boolean; rwd?: number };

/** The far end of an uplink that does as the test says, with the real LLDP, EVB and ECP. */
export function scriptedBridge(
  link: Link,
  clock: Clock,
  { groupId = true, readsAddresses = true, rwd = 20 }: BridgeOptions = {},
): ScriptedBridge {
  const text = new TextEncoder();
  const last = new Map<string, { manager: Uint8Array; association: Association }>();
  const extension = announcing("addresses");
  const edge = openEdgePort({
    link,
    clock,
    role: "bridge",
    policy: { ...defaultEvbPolicy, groupId, rwd },
    firstSequence: 500,
    lldp: {
      chassisId: { subtype: 7, octets: text.encode("tor") },
      portId: { subtype: 5, octets: text.encode("swp1") },
      tlvs: [{ is: "system-name", text: "tor" }, ...(readsAddresses ? [extension] : [])],
    },
    onVdpdu: hear,
    onEvb: () => {},
    onNeighbour: () => {},
    onState: () => {},
  });

  function hear({ manager, tlvs }: Vdpdu): void {
    const requests = tlvs.filter((tlv) => tlv.is === "association");
    const heard = requests.map(({ type, association }) => heardOf(type, association, tlvs));
    self.heard.push(heard);
    const answers = requests.flatMap(({ type, association }, i): VdpTlv[] => {
      last.set(vsiIdText(association.vsiId), { manager, association });
      const request = heard[i];
      const verdict = request === undefined ? "silent" : self.verdict(type, request);
      if (verdict === "silent") return [];
      const { code, reason: text } = verdict;
      const { vsiId } = association;
      const vns = code === 0 && self.mtu !== undefined ? vnsOf(association) : [];
      const mtus = vns.map((vn) => ({ vn, mtu: self.mtu ?? 0 }));
      const answer: VdpTlv = {
        is: "association",
        type,
        association: answered(association, verdict),
      };
      const reason = text === undefined ? [] : [reasonTlv({ vsiId, code, text })];
      return [answer, ...reason, ...(mtus.length > 0 ? mtuTlvs({ vsiId, entries: mtus }) : [])];
    });
    if (answers.length > 0) edge.send({ manager, tlvs: answers }, () => {});
  }

  const self: ScriptedBridge = {
    edge,
    mtu: undefined,
    heard: [],
    verdict: () => ({ code: 0 }),
    order: (vnic) => {
      const known = last.get(vnic);
      if (known === undefined) throw new Error(`nothing was heard of ${vnic}`);
      const { manager, association } = known;
      const status = { is: "request", suspended: false, migrating: false, code: 0 } as const;
      const tlv: VdpTlv = {
        is: "association",
        type: "de-associate",
        association: { ...association, status },
      };
      edge.send({ manager, tlvs: [tlv] }, () => {});
    },
  };
  return self;
}

function heardOf(
  type: AssociationType,
  { vsiId, filters }: Association,
  tlvs: readonly VdpTlv[],
): Heard {
  const entries = filters.by === "group-mac-vid" ? filters.entries : [];
  return {
    type,
    vnic: vsiIdText(vsiId),
    entries: entries.map(({ groupId, mac, vid }) => `${groupId} ${mac} ${vid ?? "-"}`),
    ips: (addressesOf(vsiId, tlvs)?.entries ?? []).map(({ vn, mac, ip }) => `${vn} ${mac} ${ip}`),
  };
}

function answered(
  request: Association,
  { code, keep = false, hard = false }: Exclude<Verdict, "silent">,
): Association {
  const { filters } = request;
  const status = { is: "response", keep, hard, code } as const;
  if (code !== 0 || filters.by !== "group-mac-vid") return { ...request, status };
  const entries = filters.entries.map((entry) => ({ ...entry, vid: Vid(100 + entry.groupId) }));
  return { ...request, status, filters: { ...filters, entries } };
}

const vnsOf = ({ filters }: Association): VnId[] =>
  filters.by === "group-mac-vid" ? filters.entries.map(({ groupId }) => VnId(groupId)) : [];
