import { concat, decode, type Frame, frameOctets, Mac, readFrame, uint } from "@nve/protocol-spec";

/** What a suite sends and sees, in words. A tag is written `10`, two of them `10.20`, none "". */
export type Sent = { from: string; to: string; tags: string; text: string };

const etherType = 0x88b5; // local experiments (802, §9.2.3)

/** A frame between stations named by their last octet: `0a` is 02:00:00:00:00:0a, `ff` broadcast. */
export function testFrame({ from, to, tags, text }: Sent): Uint8Array {
  const vids = tags === "" ? [] : tags.split(".").map(Number);
  const inside = vids.flatMap((vid) => [uint(2, 0x8100), uint(2, vid)]);
  const payload = concat(...inside, uint(2, etherType), new TextEncoder().encode(text));
  const type = (payload[0] ?? 0) * 256 + (payload[1] ?? 0);
  return frameOctets({
    destination: station(to),
    source: station(from),
    etherType: type,
    payload: concat(payload.subarray(2), new Uint8Array(Math.max(0, 48 - payload.length))),
  });
}

/** `a → b [10] text`, of a frame that `testFrame` made; undefined of any other. */
export function frameText(octets: Uint8Array): string | undefined {
  let frame: Frame;
  try {
    frame = decode(octets, readFrame);
  } catch {
    return undefined;
  }
  const tags: number[] = frame.tag === undefined ? [] : [frame.tag.vid];
  let { etherType: type, payload } = frame;
  while (type === 0x8100) {
    tags.push((((payload[0] ?? 0) << 8) | (payload[1] ?? 0)) & 0xfff);
    type = ((payload[2] ?? 0) << 8) | (payload[3] ?? 0);
    payload = payload.subarray(4);
  }
  if (type !== etherType) return undefined;
  const text = new TextDecoder().decode(payload).replace(/\0+$/, "");
  const short = text.length > 40 ? `${text.length} octets` : text;
  return `${name(frame.source)} → ${name(frame.destination)} [${tags.join(".")}] ${short}`;
}

export function station(name: string): Mac {
  if (name === "ff") return Mac("ff:ff:ff:ff:ff:ff");
  return Mac(name.includes(":") ? name : `02:00:00:00:00:${name}`);
}

const name = (mac: Mac): string => {
  if (mac === "ff:ff:ff:ff:ff:ff") return "ff";
  return mac.startsWith("02:00:00:00:00:") ? mac.slice(-2) : mac;
};
