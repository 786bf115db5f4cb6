import { once } from "node:events";
import { startTraffic, traffic, vmIps } from "./rig.mjs";
import { sideOf } from "./sides.mjs";

const [SUPERS, EACH, OCTETS] = [400, 10, 1400];

/** Datagrams sent ten at a time as one super-packet (UDP_SEGMENT), as QUIC does: how many come, whole and once. */
export async function quic(rigs) {
  const rows = [];
  for (const [name, rig] of rigs)
    rows.push({ name, what: sideOf(name).what, ...(await burst(rig)) });
  return { rows };
}

export async function burst(rig) {
  const receiver = startTraffic(rig, "vm2", 1, "quic-receive", SUPERS * EACH, OCTETS);
  let text = "";
  receiver.stdout.on("data", (chunk) => {
    text += chunk;
  });
  const ended = once(receiver, "close");
  try {
    await Promise.race([once(receiver.stdout, "data"), ended]); // it listens
    const { sent } = await traffic(rig, "vm1", 0, "quic-send", vmIps[1], SUPERS, EACH, OCTETS);
    await ended;
    const lines = text.trim().split("\n");
    return { sent, ...JSON.parse(lines.at(-1) ?? "{}") };
  } finally {
    receiver.kill("SIGKILL");
  }
}
