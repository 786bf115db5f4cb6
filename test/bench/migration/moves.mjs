// Moves of VNICs, one after another, each under a stream of its own: 1,000 datagrams a second.
import { after, until } from "../nva/rig.mjs";
import { figuresOf } from "./figures.mjs";

const PER_SECOND = 1000;
/** Heard at the old place before it moves, and at the new one before the stream ends. */
const HEARD_BEFORE = 20;
const HEARD_AFTER = 40;
/** Who has not arrived by then is counted as not arrived. */
const LONGEST_MS = 5000;
/** As long as a move takes, for the stream in which nothing moves. */
const STILL_MS = 80;

/**
 * `count` moves of the VNICs of a kind ("across": between ToRs, "within": between servers of one ToR), by turns.
 * @param side `probe`, `sender`, `vnics(kind)`, and what a move is: `prepare`, `move`, `after`
 */
export async function movesOf(side, kind, count) {
  const vnics = side.vnics(kind);
  const moves = [];
  for (let n = 0; n < count; n++) {
    const vnic = vnics[side.turn++ % vnics.length];
    moves.push(await oneMove(side, vnic));
  }
  return moves;
}

async function oneMove(side, vnic) {
  const { probe } = side;
  const [from, to] = [vnic.at, vnic.at === 0 ? 1 : 0];
  const places = { from: vnic.places[from], to: vnic.places[to] };
  const begin = performance.now();
  await side.prepare(vnic, to);
  const prepareMs = performance.now() - begin;
  await streamTo(side, vnic, places.from);
  const times = await side.move(vnic, from, to);
  const arrived = await heardAt(probe, places.to, HEARD_AFTER, LONGEST_MS);
  await side.after(vnic, from, to);
  const { sent, arrivals } = await probe.end();
  vnic.at = to;
  return {
    vnic: vnic.name,
    prepareMs,
    ...times,
    arrived,
    ...figuresOf({ sent, arrivals, places, ...times }),
  };
}

/** The same stream with no move in it: what the machine does to it by itself. */
export async function stillOf(side, kind, count) {
  const vnics = side.vnics(kind);
  const streams = [];
  for (let n = 0; n < count; n++) {
    const vnic = vnics[n % vnics.length];
    const place = vnic.places[vnic.at];
    await streamTo(side, vnic, place);
    await after(STILL_MS);
    const { sent, arrivals } = await side.probe.end();
    streams.push(figuresOf({ sent, arrivals, places: { from: place, to: place } }));
  }
  return streams;
}

async function streamTo({ probe, sender }, vnic, place) {
  await probe.nobody();
  await probe.to(0, sender, vnic);
  await probe.stream(PER_SECOND);
  if (!(await heardAt(probe, place, HEARD_BEFORE, LONGEST_MS)))
    throw new Error(`${vnic.name} is not reached where it is`);
}

const heardAt = (probe, place, count, timeoutMs) =>
  until("", async () => (await probe.seen(place)) >= count, timeoutMs, 5).then(
    () => true,
    () => false,
  );
