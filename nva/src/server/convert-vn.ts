import * as wire from "@nve/protocol-spec/proto/types";
import type { Profile } from "../authority/declared.ts";
import type { Vn } from "../authority/records.ts";
import { admissions, suspendeds, unknowns } from "../domain/numbers.ts";
import { toIp, toUuid } from "./convert.ts";
import { toDuplicates, toProfile } from "./convert-profile.ts";

/** As NVEs are told. @param profile the one that the VN names */
export function toVn(vn: Vn, revision: number, profile: Profile | undefined): wire.Vn {
  return {
    vnId: vn.vnId,
    name: toUuid(vn.name),
    alias: vn.alias,
    vni: vn.vni,
    tenant: vn.tenant,
    service: vn.service === "l2" ? wire.Service.SERVICE_L2 : wire.Service.SERVICE_L3,
    mtu: vn.mtu,
    flood:
      vn.flood === "head-end"
        ? wire.FloodMode.FLOOD_MODE_HEAD_END
        : wire.FloodMode.FLOOD_MODE_MULTICAST,
    revision: BigInt(revision),
    profile: profile && toProfile(profile),
    profileName: vn.profile,
    admission: vn.admission && admissions.indexOf(vn.admission) + 1,
    duplicates: vn.duplicates && toDuplicates(vn.duplicates),
    groups: (vn.groups ?? []).map(toIp),
    unknown: vn.unknown && unknowns.indexOf(vn.unknown) + 1,
    suspended: vn.suspended && suspendeds.indexOf(vn.suspended) + 1,
  };
}

/** As clients are told: by which name its profile goes, too. */
export const toNorthboundVn = (
  vn: Vn,
  revision: number,
  profile: Profile | undefined,
): wire.Vn => ({ ...toVn(vn, revision, profile), profileName: vn.profile });
