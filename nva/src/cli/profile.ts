import { Command } from "commander";
import { readProfile } from "../domain/read-profile.ts";
import { rateText } from "../domain/units.ts";
import { type Declaring, declareCommands } from "./declare.ts";
import { columns, type Outside } from "./outside.ts";
import { rules, type Setting } from "./settings.ts";
import { description, oneName } from "./tenant.ts";

const settings: readonly Setting[] = [
  {
    flag: "--acl <rules...>",
    says: 'all its rules, in order, each as "deny: from-vnic, protocol: tcp, destinationPorts: 25"',
    field: ["acl"],
    tree: rules,
  },
  {
    flag: "--police <rate>",
    says: "of each VNIC's own frames, as 500kbit, 100Mbit, 10Gbit",
    field: ["qos", "police"],
  },
  {
    flag: "--burst-octets <n>",
    says: "what may come at once above the rate",
    field: ["qos", "burstOctets"],
  },
  { flag: "--dscp <n>", says: "set in its packets, 0..63", field: ["qos", "dscp"] },
  {
    flag: "--vnics-per-nve <n>",
    says: "VNICs of the VN on one NVE, at most",
    field: ["limits", "vnicsPerNve"],
  },
  {
    flag: "--macs-per-vnic <n>",
    says: "MAC addresses of one VNIC, at most",
    field: ["limits", "macsPerVnic"],
  },
  {
    flag: "--ips-per-mac <n>",
    says: "IP addresses of one MAC address, at most",
    field: ["limits", "ipsPerMac"],
  },
  description,
];

export function profileCommand(outside: Outside): Command {
  const profile: Declaring<"profile"> = {
    kind: "profile",
    plural: "profiles",
    ...oneName("profile"),
    settings,
    read: readProfile,
    table: columns({
      PROFILE: ({ value }) => value.name,
      RULES: ({ value }) => value.acl.length,
      POLICE: ({ value: { qos } }) =>
        qos?.policeKbps === undefined ? "" : rateText(qos.policeKbps),
      DSCP: ({ value }) => value.qos?.dscp ?? "",
      LIMITS: ({ value }) =>
        Object.entries(value.limits ?? {})
          .map(([key, n]) => `${key}=${n}`)
          .join(","),
      REVISION: ({ revision }) => String(revision),
      DESCRIPTION: ({ value }) => value.description ?? "",
    }),
  };
  return declareCommands(
    new Command("profile").description("profiles: what NVEs enforce for the VNICs of a VN"),
    outside,
    profile,
  ).addHelpText("after", examples);
}

const examples = `
Examples:
  nva profile create web --police 100Mbit --dscp 46 \\
    --acl "deny: from-vnic, protocol: tcp, destinationPorts: 25" "deny: to-vnic, source: 10.9.0.0/16"
  nva profile update web --clear dscp
  nva vn update blue --profile web`;
