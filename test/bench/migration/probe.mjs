// The probe (probe.c) as an object: who sends, where it is heard.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { file } from "../nva/rig.mjs";

/** Compiles it. @returns its path, and what removes it */
export function buildProbe() {
  const folder = mkdtempSync(join(tmpdir(), "bench-migration-"));
  const path = join(folder, "probe");
  const words = ["-O2", "-std=gnu11", "-pthread", file("../migration/probe.c"), "-o", path];
  execFileSync("cc", words);
  return { path, folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * @param senders namespace and interface of each, as those of `places`; both are named by their number from then on
 * @returns times in milliseconds of the clock of `process.hrtime`
 */
export async function startProbe({ path }, senders, places) {
  const words = [...senders.map((one) => `s:${one}`), ...places.map((one) => `p:${one}`)];
  const child = spawn(path, words, { stdio: ["pipe", "pipe", "inherit"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.stdin.on("error", () => {}); // it has ended: that is told below
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the probe has ended");
    return value;
  };
  const ask = async (words) => {
    child.stdin.write(`${words}\n`);
    return await line();
  };
  const number = async (words) => Number((await ask(words)).split(" ")[1]);
  await line();
  let last = 0;
  return {
    /** One more VNIC to send to. */
    to: (sender, from, to) => ask(`to ${sender} ${from.mac} ${to.mac} ${from.ip} ${to.ip}`),
    nobody: () => ask("nobody"),
    stream: (perSecond) => ask(`stream ${++last} ${perSecond}`),
    seen: (place) => number(`seen ${place}`),
    /** @returns when it was sent */
    announce: async (place, { mac, ip }) => (await number(`garp ${place} ${mac} ${ip}`)) / 1000,
    /** Ends the stream. @returns how many were sent to each, and what came, by time */
    async end(restMs = 30) {
      const sent = await number("end");
      await new Promise((resolve) => setTimeout(resolve, restMs)); // what is under way
      const arrivals = [];
      for (let said = await ask("dump"); said !== "done"; said = await line()) {
        const [place, target, n, at, sentAt] = said.split(" ").map(Number);
        arrivals.push({ place, target, n, atMs: at / 1000, sentMs: sentAt / 1000 });
      }
      arrivals.sort((a, b) => a.atMs - b.atMs);
      return { sent, arrivals };
    },
    close() {
      process.off("exit", kill);
      kill();
    },
  };
}

/** Of the same clock. */
export const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
