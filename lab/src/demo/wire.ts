import { readCapture } from "../capture.ts";

/** What an access link has carried. */
type AccessLink = {
  lldp: number;
  /** VDP in ECP: `<source MAC> <message>`, in the order of the wire. */
  vdp: readonly string[];
  /** Tags by the source MAC of the frame that bears them. */
  tags: ReadonlyMap<string, ReadonlySet<number>>;
  /** IP and ARP without a tag. */
  untagged: readonly string[];
  example: string | undefined;
};

/** What the underlay has carried between NVEs. */
export type Underlay = {
  vnis: ReadonlySet<number>;
  /** Outer addresses. */
  addresses: ReadonlySet<string>;
  example: string | undefined;
};

const ecpEtherType = "0x8940";
/** Type of a VDP association TLV (802.1Q clause 41). */
const vdpMessages = ["", "Pre-Associate", "Pre-Associate with RR", "Associate", "De-Associate"];

export async function readAccessLink(path: string): Promise<AccessLink> {
  const frames = await readCapture(path, ["-e"]);
  const tags = new Map<string, Set<number>>();
  for (const line of frames) {
    const [, source = "", tag] = /^(\S+) > .*802\.1Q.* vlan (\d+)/.exec(line) ?? [];
    if (tag !== undefined) tags.set(source, (tags.get(source) ?? new Set()).add(Number(tag)));
  }
  return {
    lldp: frames.filter((line) => line.includes("ethertype LLDP")).length,
    vdp: (await ecpFrames(path)).flatMap(vdpOf),
    tags,
    untagged: frames.filter((line) => /^\S+ > \S+ ethertype (IPv4|IPv6|ARP)/.test(line)),
    example: frames.find((line) => line.includes("802.1Q") && line.includes("ICMP echo request")),
  };
}

export async function readUnderlay(path: string): Promise<Underlay> {
  const lines = await readCapture(path);
  const outer = lines.flatMap((line, at) => {
    const found = /^IP (\S+)\.\d+ > (\S+)\.4789: VXLAN, .* vni (\d+)/.exec(line);
    return found === null ? [] : [{ found, text: `${line} ${lines[at + 1]?.trim() ?? ""}` }];
  });
  return {
    vnis: new Set(outer.map(({ found }) => Number(found[3]))),
    addresses: new Set(outer.flatMap(({ found }) => [found[1] ?? "", found[2] ?? ""])),
    example: outer.find(({ text }) => text.includes("ICMP echo request"))?.text,
  };
}

/** Source MAC and octets of each ECPDU, from tcpdump's hexadecimal print: it does not know the protocol. */
async function ecpFrames(
  path: string,
): Promise<readonly { source: string; octets: readonly number[] }[]> {
  const frames: { source: string; octets: number[] }[] = [];
  for (const line of await readCapture(path, ["-e", "-x", `ether proto ${ecpEtherType}`])) {
    const hex = /^\s+0x[\da-f]+:\s+([\da-f ]+)/.exec(line)?.[1];
    if (hex === undefined) frames.push({ source: line.split(" ")[0] ?? "", octets: [] });
    else frames.at(-1)?.octets.push(...Buffer.from(hex.replaceAll(" ", ""), "hex"));
  }
  return frames;
}

/** The first message of an ECPDU that carries VDP: 4 octets of ECP, the manager TLV, then the association. */
function vdpOf({
  source,
  octets,
}: {
  source: string;
  octets: readonly number[];
}): readonly string[] {
  const managerLength = octets[5];
  if (managerLength === undefined) return [];
  const message = vdpMessages[(octets[4 + 2 + managerLength] ?? 0) >> 1];
  return message ? [`${source} ${message}`] : [];
}
