import { HypervisorId, isGroup, NveId, OutOfRange, VnId } from "@nve/protocol-spec";
import { type AdmitRequest, type AdmitResponse, DenialCode } from "@nve/protocol-spec/proto/nve";
import { type Denied, Gate } from "../authority/admission.ts";
import { refusalOf } from "../authority/audit.ts";
import type { Authority } from "../authority/authority.ts";
import type { Applicant } from "../authority/declared.ts";
import type { Noted } from "../authority/events.ts";
import type { VnState } from "../authority/vn-state.ts";
import { fromIp, fromMac, fromPrefix, fromText, fromUuid } from "./convert.ts";
import { toVn } from "./convert-vn.ts";
import type { Hub } from "./hub.ts";

type Verdict = { response: AdmitResponse; refusal?: Noted };

/**
 * May this VNIC join that VN (A7, H26)? What is refused is written down, after the answer.
 * @throws OutOfRange for a request that cannot be
 */
export async function admit(hub: Hub, request: AdmitRequest): Promise<AdmitResponse> {
  const { response, refusal } = await hub.keeper.ask((all) => verdictOn(all, request));
  if (refusal !== undefined) writeDown(hub, [refusal]);
  return response;
}

/** As `admit`, one by one: a request that cannot be does not cost the others their answers. */
export async function admitEach(
  hub: Hub,
  requests: readonly AdmitRequest[],
): Promise<AdmitResponse[]> {
  const verdicts = await hub.keeper.ask((all) => requests.map((request) => tried(all, request)));
  const refusals = verdicts.flatMap(({ refusal }) => refusal ?? []);
  if (refusals.length > 0) writeDown(hub, refusals);
  return verdicts.map(({ response }) => response);
}

function writeDown({ keeper }: Hub, refusals: readonly Noted[]): void {
  // It may be stopping: whoever was refused has been told.
  keeper.change((all, now) => all.refuse(refusals, now)).catch(() => undefined);
}

function tried(authority: Authority, request: AdmitRequest): Verdict {
  try {
    return verdictOn(authority, request);
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    return { response: { verdict: { $case: "unusable", value: error.message } } };
  }
}

function verdictOn(authority: Authority, request: AdmitRequest): Verdict {
  const applicant = fromRequest(request);
  const [vn, asked] = wanted(authority, request.vn);
  if (vn === undefined)
    return {
      ...denied(
        DenialCode.DENIAL_CODE_NO_SUCH_VN,
        `no VN with ${asked}: create it with \`nva vn create\`, or correct the request`,
      ),
      refusal: refusalOf(applicant, undefined, `no VN with ${asked}`),
    };
  const verdict = judged(authority, applicant, vn);
  if (verdict === undefined)
    return {
      response: {
        verdict: {
          $case: "granted",
          value: toVn(vn.vn, vn.revision, authority.catalogue.profileOf(vn.vn)),
        },
      },
    };
  const { denied: code, reason } = verdict;
  return { ...denied(codes[code], reason), refusal: refusalOf(applicant, vn.vn, reason) };
}

function judged(authority: Authority, applicant: Applicant, vn: VnState): Denied | undefined {
  const group = applicant.addresses.find(({ mac }) => isGroup(mac));
  if (group !== undefined)
    return { denied: "address", reason: `${group.mac} is a group address: no VNIC has it` };
  return new Gate(authority.catalogue).judge(applicant, authority.nve(applicant.nveId), vn);
}

function fromRequest(request: AdmitRequest): Applicant {
  const { vnic, hypervisor, station } = request;
  return {
    nveId: NveId(request.nveId),
    ...(vnic.length > 0 && { vnic: fromUuid(vnic, "vnic") }),
    ...(hypervisor !== "" && { hypervisor: HypervisorId(hypervisor) }),
    port: fromText(request.port, "port"),
    ...(station.length > 0 && { station: fromMac(station, "station") }),
    authenticated: request.authenticated,
    addresses: request.addresses.map(({ mac, ips, prefixes }) => ({
      mac: fromMac(mac),
      ips: [...ips.map(fromIp), ...prefixes.map(fromPrefix)],
    })),
  };
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

const codes: Record<Denied["denied"], DenialCode> = {
  "not-allowed": DenialCode.DENIAL_CODE_NOT_ALLOWED,
  limit: DenialCode.DENIAL_CODE_LIMIT,
  address: DenialCode.DENIAL_CODE_ADDRESS,
};

const denied = (code: DenialCode, reason: string): { response: AdmitResponse } => ({
  response: { verdict: { $case: "denied", value: { code, reason } } },
});
