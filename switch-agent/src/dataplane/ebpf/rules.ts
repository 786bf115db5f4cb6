import {
  type BpfMap,
  type BpfObject,
  ip,
  type Layout,
  struct,
  u8,
  u16,
  u32,
  u64,
} from "@nve/linux/bpf";
import {
  EtherType,
  IpAddress,
  type IpPrefix,
  ipFrom,
  isIpv6,
  prefixFrom,
  prefixParts,
  type Vni,
} from "@nve/protocol-spec";
import { type AclRule, MAX_ACL_RULES, type Qos } from "../../nve/profile.ts";

/** The maps of programs/rules.h. */
export type RuleMaps = {
  rules: BpfMap<RulesKey, readonly KernelRule[]>;
  polices: BpfMap<number, KernelPolice>;
};

type RulesKey = { vni: number; generation: number; at: number };
type KernelPolice = { cost: number; burst: number; kbps: number; burstOctets: number };
type KernelRule = {
  source: IpAddress;
  sourceMask: IpAddress;
  destination: IpAddress;
  destinationMask: IpAddress;
  flags: number;
  etherType: number;
  sourceFirst: number;
  sourceLast: number;
  destinationFirst: number;
  destinationLast: number;
  protocol: number;
  sourceLength: number;
  destinationLength: number;
  zero: number;
};

const rule = struct<KernelRule>({
  source: ip,
  sourceMask: ip,
  destination: ip,
  destinationMask: ip,
  flags: u16,
  etherType: u16,
  sourceFirst: u16,
  sourceLast: u16,
  destinationFirst: u16,
  destinationLast: u16,
  protocol: u8,
  sourceLength: u8,
  destinationLength: u8,
  zero: u8,
});

/** Rules of a piece. */
const PIECE = 16;

/** Of frames, in the order of CLASS_* in programs/rules.h: which of the rules are to be looked at at all. The last is nobody. */
type FrameClass = { version?: 4 | 6; protocol?: "tcp" | "udp" | "other" };
const classes: readonly FrameClass[] = [
  ...([4, 6] as const).flatMap((version) =>
    (["tcp", "udp", "other"] as const).map((protocol) => ({ version, protocol })),
  ),
  {},
  {},
];

const piece: Layout<readonly KernelRule[]> = {
  size: PIECE * rule.size + classes.length * u16.size,
  align: rule.align,
  write: (view, at, rules) => {
    for (let i = 0; i < PIECE; i++) rule.write(view, at + i * rule.size, rules[i] ?? noRule);
    const rest = at + PIECE * rule.size;
    for (const [n, of] of classes.entries())
      u16.write(view, rest + n * u16.size, passedOver(rules, of));
  },
  read: (view, at) => Array.from({ length: PIECE }, (_, i) => rule.read(view, at + i * rule.size)),
};

export const ruleMaps = (object: BpfObject): RuleMaps => ({
  rules: object.map("rules", struct({ vni: u32, generation: u32, at: u32 }), piece),
  polices: object.map(
    "polices",
    u32,
    struct({ cost: u64, burst: u64, kbps: u32, burstOctets: u32 }),
  ),
});

const flag = {
  deny: 1,
  fromVnic: 2,
  toVnic: 4,
  etherType: 8,
  protocol: 16,
  ports: 32,
  v4: 64,
  v6: 128,
  source: 256,
  destination: 512,
  sourcePorts: 1024,
  destinationPorts: 2048,
} as const;

/** A bit for each rule that no frame of the class matches. */
const passedOver = (rules: readonly KernelRule[], of: FrameClass): number =>
  rules.reduce((all, rule, at) => (mayMatch(rule, of) ? all : all | (1 << at)), 0);

function mayMatch(rule: KernelRule, { version, protocol }: FrameClass): boolean {
  const { flags, etherType } = rule;
  if ((flags & flag.v4) !== 0 && version !== 4) return false;
  if ((flags & flag.v6) !== 0 && version !== 6) return false;
  if ((flags & flag.etherType) !== 0 && etherTypeVersion(etherType) !== version) return false;
  if ((flags & (flag.protocol | flag.ports)) !== 0 && protocol === undefined) return false;
  return (flags & flag.protocol) === 0 || protocolName(rule.protocol) === protocol;
}

const etherTypeVersion = (etherType: number): 4 | 6 | undefined =>
  etherType === EtherType.ipv4 ? 4 : etherType === EtherType.ipv6 ? 6 : undefined;
const protocolName = (protocol: number) =>
  protocol === 6 ? "tcp" : protocol === 17 ? "udp" : "other";

const any = IpAddress("::");

const noRule: KernelRule = {
  source: any,
  sourceMask: any,
  destination: any,
  destinationMask: any,
  flags: 0,
  etherType: 0,
  sourceFirst: 0,
  sourceLast: 0xffff,
  destinationFirst: 0,
  destinationLast: 0xffff,
  protocol: 0,
  sourceLength: 0,
  destinationLength: 0,
  zero: 0,
};

type Profile = { acl?: readonly AclRule[]; qos?: Qos };

/** Which list is in force: as in the VN's own value. */
export type RulesInForce = { rules: number; ruleCount: number };
export const noRules: RulesInForce = { rules: 0, ruleCount: 0 };

/** What profiles say, in the kernel's maps (H25). Lists by generation: no frame sees half of one. */
export class Rules {
  readonly #maps: RuleMaps;
  #generation = 0;

  constructor(maps: RuleMaps) {
    this.#maps = maps;
  }

  /** Of lists that are there already. */
  beyond(generation: number): void {
    this.#generation = Math.max(this.#generation, generation);
  }

  /** Writes a list beside the one in force. @throws Error when it is too long, or there is no more room */
  write(vni: Vni, acl: readonly AclRule[]): RulesInForce {
    if (acl.length === 0) return noRules;
    if (acl.length > MAX_ACL_RULES) {
      throw new Error(`an ACL has ${MAX_ACL_RULES} rules at most, not ${acl.length}`);
    }
    this.#generation = (this.#generation + 1) >>> 0;
    const inForce = { rules: this.#generation, ruleCount: acl.length };
    const compiled = acl.map(kernelRule);
    try {
      for (const [key, from] of this.#pieces(vni, inForce)) {
        this.#maps.rules.set(key, compiled.slice(from, from + PIECE));
      }
    } catch (error) {
      this.delete(vni, inForce);
      throw error;
    }
    return inForce;
  }

  /** Writes what is not as it was. @returns the list that is to be in force */
  replace(vni: Vni, inForce: RulesInForce, was: Profile | undefined, is: Profile): RulesInForce {
    if (is.qos?.policeKbps !== undefined) this.police(vni, is.qos);
    const same = JSON.stringify(was?.acl ?? []) === JSON.stringify(is.acl ?? []);
    return same ? inForce : this.write(vni, is.acl ?? []);
  }

  read(vni: Vni, inForce: RulesInForce): AclRule[] {
    const rules = this.#pieces(vni, inForce).flatMap(([key]) => this.#maps.rules.get(key) ?? []);
    return rules.slice(0, inForce.ruleCount).map(aclRule);
  }

  delete(vni: Vni, inForce: RulesInForce): void {
    for (const [key] of this.#pieces(vni, inForce)) this.#maps.rules.delete(key);
  }

  police(vni: Vni, qos: Qos | undefined): void {
    if (qos?.policeKbps === undefined) this.#maps.polices.delete(vni);
    else this.#maps.polices.set(vni, kernelPolice(qos.policeKbps, qos.burstOctets));
  }

  readPolice(vni: Vni): Qos {
    const police = this.#maps.polices.get(vni);
    if (police === undefined) return {};
    const { kbps: policeKbps, burstOctets } = police;
    return { policeKbps, ...(burstOctets > 0 && { burstOctets }) };
  }

  #pieces(vni: Vni, { rules: generation, ruleCount }: RulesInForce): [RulesKey, number][] {
    return Array.from({ length: Math.ceil(ruleCount / PIECE) }, (_, at) => [
      { vni, generation, at },
      at * PIECE,
    ]);
  }
}

/** If a profile does not say: a tenth of a second, and a super-packet at least. */
const burstOf = (kbps: number): number => Math.max(65_536, kbps * 12.5);

function kernelPolice(kbps: number, burstOctets = 0): KernelPolice {
  const nanoseconds = 8_000_000 / kbps;
  const burst = Math.round((burstOctets || burstOf(kbps)) * nanoseconds);
  return { cost: Math.round(nanoseconds * 65_536), burst, kbps, burstOctets };
}

/** The same in a VN's own value, where a program finds it without another look-up. */
export function policeOf(qos: Qos | undefined): { policeCost: number; policeBurst: number } {
  if (qos?.policeKbps === undefined) return { policeCost: 0, policeBurst: 0 };
  const { cost, burst } = kernelPolice(qos.policeKbps, qos.burstOctets);
  return { policeCost: cost, policeBurst: burst };
}

function kernelRule(from: AclRule): KernelRule {
  const { etherType = 0, protocol = 0, source, destination } = from;
  const [sourceFirst, sourceLast] = from.sourcePorts ?? [0, 0xffff];
  const [destinationFirst, destinationLast] = from.destinationPorts ?? [0, 0xffff];
  const [a, b] = [masked(source), masked(destination)];
  return {
    source: a.ip,
    sourceMask: a.mask,
    destination: b.ip,
    destinationMask: b.mask,
    flags: flagsOf(from),
    etherType,
    ...{ sourceFirst, sourceLast, destinationFirst, destinationLast },
    protocol,
    sourceLength: a.length,
    destinationLength: b.length,
    zero: 0,
  };
}

function flagsOf(from: AclRule): number {
  const { action, direction, etherType, protocol, source, destination } = from;
  const prefixes = [source, destination].filter((prefix) => prefix !== undefined);
  const { sourcePorts, destinationPorts } = from;
  const set: readonly [number, boolean][] = [
    [flag.deny, action === "deny"],
    [flag.fromVnic, direction !== "to-vnic"],
    [flag.toVnic, direction !== "from-vnic"],
    [flag.etherType, etherType !== undefined],
    [flag.protocol, protocol !== undefined],
    [flag.ports, (sourcePorts ?? destinationPorts) !== undefined],
    [flag.sourcePorts, sourcePorts !== undefined],
    [flag.destinationPorts, destinationPorts !== undefined],
    [flag.v4, prefixes.some((prefix) => !isIpv6(prefix))],
    [flag.v6, prefixes.some((prefix) => isIpv6(prefix))],
    [flag.source, source !== undefined],
    [flag.destination, destination !== undefined],
  ];
  return set.reduce((all, [bit, is]) => (is ? all | bit : all), 0);
}

const none = { ip: any, mask: any, length: 0 };

/** An IPv4 address stands in the last 32 of 128 bits. */
function masked(prefix: IpPrefix | undefined): { ip: IpAddress; mask: IpAddress; length: number } {
  if (prefix === undefined) return none;
  const { ip, length } = prefixParts(prefix);
  const bits = isIpv6(ip) ? length : length + 96;
  const mask = Uint8Array.from({ length: 16 }, (_, i) => {
    return 0xff << (8 - Math.min(Math.max(bits - 8 * i, 0), 8));
  });
  return { ip, mask: ipFrom(mask), length };
}

function aclRule(kernel: KernelRule): AclRule {
  const { flags, etherType, protocol, source, destination } = kernel;
  const has = (bit: number): boolean => (flags & bit) !== 0;
  const direction = !has(flag.toVnic) ? "from-vnic" : has(flag.fromVnic) ? "both" : "to-vnic";
  return {
    action: has(flag.deny) ? "deny" : "allow",
    direction,
    ...(has(flag.etherType) && { etherType }),
    ...(has(flag.source) && { source: prefixFrom(source, kernel.sourceLength) }),
    ...(has(flag.destination) && {
      destination: prefixFrom(destination, kernel.destinationLength),
    }),
    ...(has(flag.protocol) && { protocol }),
    ...(has(flag.sourcePorts) && {
      sourcePorts: [kernel.sourceFirst, kernel.sourceLast] as const,
    }),
    ...(has(flag.destinationPorts) && {
      destinationPorts: [kernel.destinationFirst, kernel.destinationLast] as const,
    }),
  };
}
