import { IpPrefix } from "@nve/protocol-spec";
import type { AclRule, Profile, ProfileLimits, Qos } from "../authority/declared.ts";
import { given, type Input } from "./input.ts";
import { descriptionText, oneOf } from "./text.ts";
import { etherType, portRange, protocol, rateKbps, whole } from "./units.ts";

export function readProfile(name: string, input: Input): Profile {
  return input.fields(({ optional }) =>
    given({
      name,
      description: optional("description", (one) => one.value(descriptionText)),
      acl: optional("acl", (all) => all.list(readRule)) ?? [],
      qos: optional("qos", readQos),
      limits: optional("limits", readLimits),
    }),
  );
}

/** `{ deny: from-vnic, protocol: tcp, destinationPorts: 25 }` */
export function readRule(input: Input): AclRule | undefined {
  return input.fields(({ optional }) => {
    const way = (one: Input) => one.value(oneOf("both", "from-vnic", "to-vnic"));
    const [allow, deny] = [optional("allow", way), optional("deny", way)];
    const direction = allow ?? deny;
    const fields = {
      etherType: optional("etherType", (one) => one.value(etherType)),
      source: optional("source", (one) => one.value(IpPrefix)),
      destination: optional("destination", (one) => one.value(IpPrefix)),
      protocol: optional("protocol", (one) => one.value(protocol)),
      sourcePorts: optional("sourcePorts", (one) => one.value(portRange)),
      destinationPorts: optional("destinationPorts", (one) => one.value(portRange)),
    };
    if (direction === undefined || (allow !== undefined && deny !== undefined))
      return input.fault("a rule says either allow or deny: both, from-vnic or to-vnic");
    return given({ action: deny === undefined ? "allow" : "deny", direction, ...fields } as const);
  });
}

const positive = (input: Input): number | undefined =>
  input.value((text) => whole(text, 1, 0xffff_ffff));

function readQos(input: Input): Qos | undefined {
  const qos = input.fields(({ optional }) => {
    const policeKbps = optional("police", (one) => one.value(rateKbps));
    const burst = (one: Input): number | undefined => {
      // A burst that no whole frame fits in would let nothing through.
      const octets = one.value((text) => whole(text, 1_514, 0xffff_ffff));
      return policeKbps === undefined ? one.fault("goes with police: of which rate?") : octets;
    };
    return given({
      policeKbps,
      burstOctets: optional("burstOctets", burst),
      dscp: optional("dscp", (one) => one.value((text) => whole(text, 0, 63))),
    });
  });
  return someOf(qos);
}

function readLimits(input: Input): ProfileLimits | undefined {
  const limits = input.fields(({ optional }) =>
    given({
      vnicsPerNve: optional("vnicsPerNve", positive),
      macsPerVnic: optional("macsPerVnic", positive),
      ipsPerMac: optional("ipsPerMac", positive),
    }),
  );
  return someOf(limits);
}

/** None for an empty one: that is what leaving it out says. */
const someOf = <T extends object>(value: T): T | undefined =>
  Object.keys(value).length === 0 ? undefined : value;
