import { concat, type Mac, macOctets } from "@nve/protocol-spec";
import type { ControlFrames } from "./control-frames.ts";
import { hostUint } from "./rtnetlink/codec.ts";

// Classic BPF (Documentation/networking/filter.rst) for packet sockets, `struct sock_filter[]` each. When a program
// runs the kernel has taken the outer tag out: it is asked for by an ancillary load, and octets 12-13 are the
// EtherType of tagged frames too. Of doubly tagged frames they are the second tag's 8100, which no program passes.

/** Passes frames of these EtherTypes, whatever their address and tag. */
export const etherTypeFilter = (etherTypes: readonly number[]): Uint8Array =>
  assembled([
    step(LOAD_HALF, 12),
    ...etherTypes.flatMap((etherType) => [
      jump(EQUAL, etherType, undefined, 1),
      step(RETURN, WHOLE),
    ]),
    step(RETURN, NOTHING),
  ]);

/** Passes the frames of one protocol. */
export const controlFilter = (frames: ControlFrames): Uint8Array =>
  assembled([
    ...block(frames, { right: "pass", wrong: "drop", other: "drop" }),
    label("drop"),
    step(RETURN, NOTHING),
    label("pass"),
    step(RETURN, WHOLE),
  ]);

/** Passes what has the EtherType of one of the protocols, and is none of its frames. */
export const strayFilter = (protocols: readonly ControlFrames[]): Uint8Array =>
  assembled([
    ...protocols.flatMap((frames, i) => [
      ...block(frames, { right: "drop", wrong: "pass", other: `after ${i}` }, `${i}`),
      label(`after ${i}`),
    ]),
    label("drop"),
    step(RETURN, NOTHING),
    label("pass"),
    step(RETURN, 1),
  ]);

type Ends = { right: string; wrong: string; other: string };

function block(
  { etherType, groups, octets: [least, most] }: ControlFrames,
  { right, wrong, other }: Ends,
  name = "",
): Line[] {
  const untagged = `untagged ${name}`;
  return [
    step(LOAD_HALF, 12),
    jump(EQUAL, etherType, undefined, other),
    step(LOAD_LENGTH, 0),
    jump(GREATER_OR_EQUAL, least, undefined, wrong),
    jump(GREATER_OR_EQUAL, most + 1, wrong),
    step(LOAD_WORD, ANCILLARY.tagPresent),
    jump(EQUAL, 0, untagged),
    step(LOAD_WORD, ANCILLARY.tpid),
    jump(EQUAL, 0x8100, undefined, wrong),
    step(LOAD_WORD, ANCILLARY.tag),
    jump(ANY_OF, 0xfff, wrong),
    label(untagged),
    step(LOAD_WORD, ANCILLARY.packetType),
    jump(EQUAL, TO_US, right),
    step(LOAD_WORD, 0),
    jump(EQUAL, 0x0180c200, undefined, wrong),
    step(LOAD_HALF, 4),
    ...groups.map((group, i) =>
      jump(EQUAL, lastTwo(group), right, i === groups.length - 1 ? wrong : undefined),
    ),
  ];
}

const lastTwo = (group: Mac): number => {
  const [, , , , high = 0, low = 0] = macOctets(group);
  return high * 256 + low;
};

// Instructions (linux/bpf_common.h): class, size or operation, mode or source.
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_LENGTH = 0x80;
const EQUAL = 0x15;
const GREATER_OR_EQUAL = 0x35;
const ANY_OF = 0x45;
const RETURN = 0x06;

const NOTHING = 0;
/** More than any frame has. */
const WHOLE = 0x40000;
/** PACKET_HOST: to the interface's own address, as it is at the moment. */
const TO_US = 0;

/** SKF_AD_OFF is -0x1000. */
const ANCILLARY = {
  packetType: 0xfffff000 + 4,
  tag: 0xfffff000 + 44,
  tagPresent: 0xfffff000 + 48,
  tpid: 0xfffff000 + 60,
} as const;

/** A target is a label, or how many instructions are left out; without one the next follows. */
type Target = string | number | undefined;
type Line =
  | { is: "label"; name: string }
  | { is: "instruction"; code: number; operand: number; yes?: Target; no?: Target };

const label = (name: string): Line => ({ is: "label", name });
const step = (code: number, operand: number): Line => ({ is: "instruction", code, operand });
const jump = (code: number, operand: number, yes?: Target, no?: Target): Line => ({
  is: "instruction",
  code,
  operand,
  yes,
  no,
});

/** sock_filter: code 2, jump if true 1, jump if false 1, operand 4. */
function assembled(lines: readonly Line[]): Uint8Array {
  const at = new Map<string, number>();
  const instructions: (Line & { is: "instruction" })[] = [];
  for (const line of lines) {
    if (line.is === "label") at.set(line.name, instructions.length);
    else instructions.push(line);
  }
  const skip = (target: Target, from: number): number =>
    typeof target === "string" ? (at.get(target) ?? Number.NaN) - from - 1 : (target ?? 0);
  return concat(
    ...instructions.map(({ code, operand, yes, no }, i) =>
      concat(
        hostUint(2, code),
        hostUint(1, skip(yes, i)),
        hostUint(1, skip(no, i)),
        hostUint(4, operand),
      ),
    ),
  );
}
