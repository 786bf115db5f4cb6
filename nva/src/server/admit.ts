import { isGroup, NveId, OutOfRange, VnId } from "@nve/protocol-spec";
import { type AdmitRequest, type AdmitResponse, DenialCode } from "@nve/protocol-spec/proto/nve";
import type { Authority } from "../authority/authority.ts";
import { fromIp, fromMac, fromPrefix, fromUuid, toVn } from "./convert.ts";

/** May this VNIC join that VN (A7, H26)? @throws OutOfRange for a request that cannot be */
export function admit(authority: Authority, request: AdmitRequest): AdmitResponse {
  NveId(request.nveId);
  if (request.vnic.length > 0) fromUuid(request.vnic, "vnic");
  if (request.station.length > 0) fromMac(request.station, "station");
  const macs = request.addresses.map(({ mac, ips, prefixes }) => {
    ips.forEach(fromIp);
    prefixes.forEach(fromPrefix);
    return fromMac(mac);
  });
  const [vn, asked] = wanted(authority, request.vn);
  if (vn === undefined)
    return denied(
      DenialCode.DENIAL_CODE_NO_SUCH_VN,
      `no VN with ${asked}: create it with \`nva vn create\`, or correct the request`,
    );
  const group = macs.find(isGroup);
  if (group !== undefined)
    return denied(DenialCode.DENIAL_CODE_ADDRESS, `${group} is a group address: no VNIC has it`);
  return { verdict: { $case: "granted", value: toVn(vn.vn, vn.revision) } };
}

function wanted(authority: Authority, vn: AdmitRequest["vn"]) {
  if (vn === undefined) throw new OutOfRange("vn: neither VN ID nor VN Name");
  if (vn.$case === "vnId") {
    const vnId = VnId(vn.value);
    return [authority.vn(vnId), `VN ID ${vnId}`] as const;
  }
  const name = fromUuid(vn.value, "vn_name");
  return [authority.vnByName(name), `the name ${name}`] as const;
}

const denied = (code: DenialCode, reason: string): AdmitResponse => ({
  verdict: { $case: "denied", value: { code, reason } },
});

/** As `admit`, one by one: a request that cannot be does not cost the others their answers. */
export const admitEach = (
  authority: Authority,
  requests: readonly AdmitRequest[],
): AdmitResponse[] =>
  requests.map((request) => {
    try {
      return admit(authority, request);
    } catch (error) {
      if (!(error instanceof OutOfRange)) throw error;
      return { verdict: { $case: "unusable", value: error.message } };
    }
  });
