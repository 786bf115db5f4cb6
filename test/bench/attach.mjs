// How long from attaching a VNIC to the first answered ping, across the racks of lab/two-racks, 100 times:
// from the start of the command `hypervisor-agent vnic attach`, and from the call of the agent's API.
import { connectAgent } from "@nve/hypervisor-agent/cli/client";
import { readTenants } from "@nve/lab/demo/vms";
import { down } from "@nve/lab/down";
import { findTopology } from "@nve/lab/find";
import { execIn, nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { readTopology } from "@nve/lab/topology";
import { up } from "@nve/lab/up";

const lab = `bench-${process.pid}`;
const { vms, vns } = readTenants();
const red1 = vms.find(({ vm }) => vm === "red1");
const red3 = vms.find(({ vm }) => vm === "red3");
const vnId = vns.find(({ alias }) => alias === "red").id;

export async function run(rounds = "100") {
  try {
    await measure(Number(rounds));
  } finally {
    await down(lab);
  }
}

async function measure(rounds) {
  const path = findTopology("two-racks");
  await up(readTopology(path, lab), path);
  await tell("nva", "nva", "vn", "create", "red", "--id", String(vnId), "--vni", "70001");
  await untilEvb(red1.server);
  await untilEvb(red3.server);
  await tell(red1.server, ...attachWords(red1));
  // A VM that boots asks by ARP at once, and again only a second later: that wait is not the network's.
  await tell(
    red3.vm,
    "ip",
    "neigh",
    "replace",
    red1.ip,
    "lladdr",
    red1.mac,
    "dev",
    "eth0",
    "nud",
    "permanent",
  );
  await tell(
    red1.vm,
    "ip",
    "neigh",
    "replace",
    red3.ip,
    "lladdr",
    red3.mac,
    "dev",
    "eth0",
    "nud",
    "permanent",
  );

  const socket = `/proc/${nodeState(lab, red3.server).holder.pid}/root/run/split-nve/hypervisor-agent.sock`;
  const agent = await connectAgent(`unix:${socket}`);
  await agent.vnics(); // the connection is up before the first round
  const byCommand = () => tell(red3.server, ...attachWords(red3));
  const macs = [{ mac: red3.mac, ips: [red3.ip] }];
  const vns = [{ vnId, macs, vnName: "", guestTag: 0 }];
  const request = { vnic: "", interface: red3.interface, vns, vmName: "", uplink: "" };
  const byApi = () => agent.attach(request, 20_000);
  const rows = [];
  for (const [from, attach] of [
    ["command", byCommand],
    ["API", byApi],
  ]) {
    const times = [];
    for (let round = 0; round < rounds; round++) times.push(await timed(attach, agent));
    rows.push({ "attach to first ping, from": from, ...quantiles(times) });
  }
  agent.close();
  process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
}

async function timed(attach, agent) {
  const pinging = spawnIn(nodeState(lab, red3.vm), ["ping", "-D", "-n", "-i", "0.002", red1.ip], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const answered = new Promise((resolve) => {
    let printed = "";
    pinging.stdout.setEncoding("utf8").on("data", (text) => {
      printed += text;
      const seconds = /\[([\d.]+)\] \d+ bytes from/.exec(printed)?.[1];
      if (seconds !== undefined) resolve(Number(seconds) * 1000);
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 50)); // it pings before the attach begins
  const begin = performance.timeOrigin + performance.now();
  await attach();
  const end = await answered;
  pinging.kill("SIGKILL");
  await agent.detach(red3.interface);
  return end - begin;
}

function attachWords({ interface: name, mac, ip }) {
  const node = ["--vn", String(vnId), "--mac", mac, "--ip", ip];
  return ["hypervisor-agent", "vnic", "attach", name, ...node];
}

async function tell(node, ...command) {
  const { code, stdout, stderr } = await execIn(lab, node, command);
  if (code !== 0) throw new Error(`${node}: ${command.join(" ")}: ${stderr}`);
  return stdout;
}

async function untilEvb(server) {
  while (
    !JSON.parse(await tell(server, "hypervisor-agent", "show", "uplinks", "--json")).every(
      ({ evb }) => evb,
    )
  );
}

function quantiles(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (p) =>
    Math.round(10 * sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)]) / 10;
  return { rounds: sorted.length, "p50 ms": at(0.5), "p99 ms": at(0.99), "max ms": at(1) };
}
