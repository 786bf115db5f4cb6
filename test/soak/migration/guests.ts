import { fileURLToPath } from "node:url";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { concat, Mac, macOctets, uint } from "@nve/protocol-spec";
import { linesOf } from "../../support/streams.ts";
import { guestOf, type Moved, type Server } from "./plan.ts";

/** Where every VNIC is: its one place. */
export type Places = ReadonlyMap<Moved, Server>;

export type Guests = {
  /**
   * Each VNIC speaks to each other one of its VN, and once to all: each frame has to come once, where its receiver is, and
   * nowhere else. What is lost is sent again twice. @returns what went wrong, in words
   */
  check(places: Places): Promise<string[]>;
  end(): void;
};

const etherType = 0x88b5;
const everybody = Mac("ff:ff:ff:ff:ff:ff");
const tries = 3;

export async function startGuests(lab: string, names: readonly string[]): Promise<Guests> {
  const script = fileURLToPath(new URL("guests.mjs", import.meta.url));
  const words = [process.execPath, script, ...names];
  const child = spawnIn(nodeState(lab, "guests"), words, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = linesOf(child);
  if ((await lines.next()) !== "ready") throw new Error("the guests' frames cannot be seen");
  let id = 0;

  /** @returns how often each frame of this round came, by `<interface> <from> <to>` */
  async function exchange(frames: readonly Frame[], round: number): Promise<Map<string, number>> {
    id += 1;
    const send = frames.map((frame) => [frame.from, hexOf(frame, round)]);
    const wanted = frames.flatMap(({ to }) => to).length;
    child.stdin?.write(`${JSON.stringify({ id, wanted, timeoutMs: 2_000, send })}\n`);
    const line = await lines.next();
    if (line === undefined) throw new Error("the guests have ended");
    const seen = new Map<string, number>();
    for (const [at, hex] of JSON.parse(line).came as [string, string][]) {
      const octets = Buffer.from(hex, "hex");
      if (octets.readUInt16BE(18) !== round) continue; // it was late
      const key = `${at} ${octets.readUInt16BE(14)} ${octets.readUInt16BE(16)}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    return seen;
  }

  async function check(places: Places): Promise<string[]> {
    const faults: string[] = [];
    let open = [...framesOf(places)];
    for (let round = 1; open.length > 0 && round <= tries; round++) {
      const seen = await exchange(open, round);
      open = open.filter(({ what, to, key }) => {
        const missing = to.filter((at) => {
          const times = seen.get(`${at} ${key}`) ?? 0;
          seen.delete(`${at} ${key}`);
          if (times > 1) faults.push(`${what}: came ${times} times at ${at}`);
          return times === 0;
        });
        if (round === tries && missing.length > 0)
          faults.push(`${what}: did not come at ${missing.join(", ")}`);
        return missing.length > 0;
      });
      for (const [key, times] of seen)
        faults.push(`interface, from and to ${key}: came where it is not, ${times} times`);
    }
    return faults;
  }

  return { check, end: () => void child.kill("SIGKILL") };
}

/** Of VNIC to VNIC, or of one to all: `to` is where it is to come. */
type Frame = { what: string; from: string; to: string[]; key: string; head: Uint8Array };

const all = 0xffff;

function* framesOf(places: Places): Generator<Frame> {
  for (const [one, at] of places) {
    const others = [...places].filter(([other]) => other.vnId === one.vnId && other !== one);
    const frame = (what: string, to: readonly [Moved, Server][], mac: Mac, n: number): Frame => ({
      what: `${what} from VNIC ${one.n} at ${at.name}`,
      from: guestOf(one, at),
      to: to.map(([other, place]) => guestOf(other, place)),
      key: `${one.n} ${n}`,
      head: concat(
        concat(macOctets(mac), macOctets(one.mac), uint(2, etherType)),
        concat(uint(2, one.n), uint(2, n)),
      ),
    });
    if (others.length > 0) yield frame("to all", others, everybody, all);
    for (const [other, place] of others)
      yield frame(`to VNIC ${other.n} at ${place.name}`, [[other, place]], other.mac, other.n);
  }
}

/** As long as Ethernet wants it. */
const hexOf = ({ head }: Frame, round: number): string =>
  Buffer.from(concat(head, uint(2, round), new Uint8Array(40))).toString("hex");
