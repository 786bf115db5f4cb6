// A rack after a power cut: every link goes down and up at once, and every server wants all its VNICs back.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { namespaceOf } from "@nve/lab/topology";
import { child, figures } from "./cases.mjs";
import { cpuMs, openRig, port, run, startNva, startSwitchAgent, until } from "./rig.mjs";

/** The defaults of both agents: 164 ms, 10.5 s, 10.5 s. Without a word a VSI is forgotten after 16 s. */
const timers = { r: 3, rte: 14, rwd: 20, rka: 20 };
const VNS = 50;

/** @returns a row for each way to lose the links */
export async function rack(ports, perPort, store) {
  const rig = await openRig(ports);
  const running = [];
  try {
    const nva = await startNva(rig, store);
    running.push(nva);
    await nva.createVns(5000, VNS);
    const bridge = await startSwitchAgent(rig, ports, timers);
    running.push(bridge);
    const names = Array.from({ length: ports }, (_, n) => port(n));
    const { tell, told } = await child(rig, running, "station", { ports: names, timers });
    await until("EVB on all ports", async () => {
      tell({ do: "ready" });
      return (await told("ready")).ready;
    });
    const total = ports * perPort;
    const again = async (what, lose) => {
      const begun = await lose();
      const { unixMs, times } = await told("associated");
      const ms = Math.round(unixMs - begun.unixMs);
      const cpu = cpuMs(bridge) - begun.cpu;
      const each = figures(times.map((at) => at - begun.unixMs));
      return {
        what,
        ports,
        vsis: total,
        ms,
        ...each,
        cpuUsPerVsi: Math.round((cpu * 1000) / total),
      };
    };
    const now = () => ({ unixMs: unixMs(), cpu: cpuMs(bridge) });
    const rows = [];
    rows.push(
      await again("first", async () => {
        const begun = now();
        tell({ do: "attach", first: 0, count: perPort, vns: VNS, wanted: total });
        return begun;
      }),
    );
    const flap = async (whileDown) => {
      await links(rig, names, "down");
      tell({ do: "lost", wanted: total });
      await whileDown();
      const begun = now();
      await links(rig, names, "up");
      return begun;
    };
    rows.push(await again("links down and up: the switch still has them", () => flap(seconds(1))));
    const forgotten = () =>
      until("the switch to forget all", async () => (await vnics(rig, bridge)) === 0, 30_000);
    rows.push(await again("links down until the switch has forgotten them", () => flap(forgotten)));
    return rows;
  } finally {
    for (const program of running.reverse()) await program.stop();
    await rig.close();
  }
}

const unixMs = () => performance.timeOrigin + performance.now();
const seconds = (n) => () => new Promise((resolve) => setTimeout(resolve, n * 1000));

/** All ends at the servers, in one call. */
async function links({ lab }, names, state) {
  const ip = spawn("ip", ["-n", namespaceOf(lab, "station"), "-batch", "-"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  ip.stdin.end(names.map((name) => `link set ${name} ${state}\n`).join(""));
  const [code] = await once(ip, "exit");
  if (code !== 0) throw new Error(`ip link set ${state}: ${code}`);
}

async function vnics(rig, { socket }) {
  const words = ["switch-agent", "show", "vnics", "--json", "--socket", `unix:${socket}`];
  return JSON.parse(await run(rig, "bridge", ...words)).length;
}
