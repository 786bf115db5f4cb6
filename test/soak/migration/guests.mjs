// The VM's ends of all taps, in the node `guests`. Frames that the standard input says, a line of JSON each:
//   {"id": 1, "wanted": 20, "timeoutMs": 2000, "send": [["g0s1", "<hex>"], …]}
// Answered when `wanted` frames have come, or at the end of the time, and then a moment later, by a line
//   {"id": 1, "came": [["g1s2", "<hex>"], …]}
import { createInterface } from "node:readline";
import { openPacketLink } from "@nve/linux";

const [, , ...names] = process.argv;
const settleMs = 100;
const atOnce = 32;
let turn;

const links = new Map(
  names.map((name) => {
    const link = openPacketLink({ interface: name, etherTypes: [0x88b5] });
    link.onFrame((frame) => {
      turn?.came.push([name, Buffer.from(frame).toString("hex")]);
      if (turn !== undefined && turn.came.length >= turn.wanted) turn.enough();
    });
    return [name, link];
  }),
);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
while ([...links.values()].some(({ state }) => state !== "up")) await pause(10);
process.stdout.write("ready\n");

for await (const line of createInterface({ input: process.stdin })) {
  const { id, wanted, timeoutMs, send } = JSON.parse(line);
  let enough = () => {};
  const complete = new Promise((resolve) => {
    enough = resolve;
  });
  turn = { came: [], wanted, enough };
  for (let i = 0; i < send.length; i += atOnce) {
    for (const [name, hex] of send.slice(i, i + atOnce))
      links.get(name).send(Buffer.from(hex, "hex"));
    await pause(2);
  }
  await Promise.race([complete, pause(timeoutMs)]);
  await pause(settleMs);
  process.stdout.write(`${JSON.stringify({ id, came: turn.came })}\n`);
}
process.exit(0);
