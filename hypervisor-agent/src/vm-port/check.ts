import { Refused } from "@nve/program";
import type { Binding } from "./vm-port.ts";

/** @throws Refused, with nothing changed, when the bindings contradict one another */
export function checkBindings(bindings: readonly Binding[], uplinks: readonly string[]): void {
  const known: Known = { stations: new Map(), sources: new Map(), tags: new Map() };
  for (const binding of bindings) {
    const { uplink } = binding;
    if (!uplinks.includes(uplink)) {
      throw new Refused(`${uplink} is no uplink: it must be one of ${uplinks.join(", ")}`);
    }
    const fault = faultOf(binding, known);
    if (fault !== undefined) throw new Refused(fault);
  }
}

/** The bindings so far: by where a frame is delivered, by what frames are its own, and by VN of an interface. */
type Known = Record<"stations" | "sources" | "tags", Map<string, Binding>>;

function faultOf(binding: Binding, { stations, sources, tags }: Known): string | undefined {
  const { interface: name, guestTag, mac, uplink, vid } = binding;
  const place = `${uplink} ${vid}`;
  const [station, source, tag] = [
    first(stations, `${place} ${mac}`, binding),
    first(sources, `${name} ${guestTag} ${mac}`, binding),
    first(tags, `${place} ${name}`, binding),
  ];
  if (station.interface !== name) {
    return `${mac} with VID ${vid} is bound to ${station.interface} and to ${name}`;
  }
  if (source.uplink !== uplink || source.vid !== vid) {
    const frames = `${mac} of ${name} with ${guestTagText(guestTag)}`;
    return `${frames} is bound to VID ${source.vid} of ${source.uplink} and to VID ${vid} of ${uplink}`;
  }
  if (tag.guestTag !== guestTag) {
    const both = [tag.guestTag, guestTag].map(guestTagText).join(" and to ");
    return `VID ${vid} of ${uplink} is bound on ${name} to ${both}`;
  }
  return undefined;
}

/** The first that said it: this one, if none has before. */
function first(known: Map<string, Binding>, key: string, binding: Binding): Binding {
  const before = known.get(key);
  if (before === undefined) known.set(key, binding);
  return before ?? binding;
}

const guestTagText = (tag: number): string => (tag === 0 ? "no guest tag" : `guest tag ${tag}`);
