// The baseline: FRR's EVPN over Linux bridges and VXLAN devices, one for each ToR, with a route server at the router between
// them. A VNIC moves by a gratuitous ARP from its new place: there is nothing else to tell an EVPN switch.
//
//   place 0 ─┐
//   place 1 ─┴ tor1 ── spine (route server) ─┬─ tor2 ── place 2
//                                            └─ tor3 ── the peer
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frrDaemons } from "../nva/frr-daemons.mjs";
import { until } from "../nva/rig.mjs";
import { peer, vnicOf } from "./ours.mjs";
import { startProbe } from "./probe.mjs";

const VNI = 100;
const EACH = 8;
const tors = [1, 2, 3];
/** ToR of each place; the last one is the peer's. */
const torOf = [1, 1, 2, 3];
const ways = { across: [0, 2], within: [0, 1] };

export async function openFrr(program) {
  const folder = mkdtempSync(join(tmpdir(), "bench-move-frr-"));
  const space = (name) => `bench-move-frr-${process.pid}-${name}`;
  const names = ["spine", ...tors.map((n) => `tor${n}`), ...torOf.map((_, n) => `place${n}`)];
  const daemons = new Map();
  let probe;
  const close = async () => {
    process.off("exit", drop);
    probe?.close();
    for (const one of daemons.values()) await one.stop();
    drop();
  };
  const drop = () => {
    for (const name of names) spawnSync("ip", ["netns", "del", space(name)], { stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", drop);
  try {
    wire(names, space);
    for (const name of names.slice(0, 1 + tors.length)) {
      const one = frrDaemons(space(name), folder);
      daemons.set(name, one);
      await one.start(name, name === "spine" ? routeServer : edge(Number(name.slice(3))));
    }
    await until(
      "each ToR to know the others",
      () => tors.every((n) => members(space(`tor${n}`)) === 2),
      60_000,
      200,
    );
    const at = (n) => `${space(`place${n}`)}:e0`;
    probe = await startProbe(
      program,
      [at(torOf.length - 1)],
      torOf.slice(0, -1).map((_, n) => at(n)),
    );
    const vnics = Object.entries(ways).flatMap(([kind, places]) =>
      Array.from({ length: EACH }, (_, n) => ({ ...vnicOf(kind, n), kind, places })),
    );
    for (const vnic of vnics) await probe.announce(vnic.places[0], vnic);
    const known = () => macs(space("tor3"));
    await until(
      "tor3 to know all VNICs",
      () => vnics.every(({ mac }) => known().includes(mac)),
      20_000,
      200,
    );
    return {
      ...{ probe, sender: peer, turn: 0, close, daemons },
      vnics: (kind) => vnics.filter((vnic) => vnic.kind === kind),
      prepare: async () => {},
      move: async (vnic, _, to) => ({ handOverMs: await probe.announce(vnic.places[to], vnic) }),
      after: async () => {},
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const macs = (space) =>
  execFileSync("bridge", ["-n", space, "fdb", "show", "dev", "vx100"], { encoding: "utf8" });
const members = (space) => macs(space).split("00:00:00:00:00:00").length - 1;

function wire(names, space) {
  for (const name of names) {
    execFileSync("ip", ["netns", "add", space(name)]);
    execFileSync("ip", [
      "netns",
      "exec",
      space(name),
      "sysctl",
      "-qw",
      "net.ipv6.conf.default.disable_ipv6=1",
      "net.ipv6.conf.all.disable_ipv6=1",
      "net.ipv4.ip_forward=1",
    ]);
  }
  const ip = (name, lines) =>
    execFileSync("ip", ["-n", space(name), "-batch", "-"], { input: `${lines.join("\n")}\n` });
  for (const n of tors) {
    const tor = `tor${n}`;
    ip("spine", [
      `link add s${n} mtu 1600 type veth peer name u0 mtu 1600 netns ${space(tor)}`,
      `addr add 10.99.${n}.2/24 dev s${n}`,
      `link set s${n} up`,
    ]);
    ip(tor, [
      "link set lo up",
      `addr add 10.99.${n}.1/24 dev u0`,
      "link set u0 up",
      `route add 10.99.0.0/16 via 10.99.${n}.2`,
      "link add br100 type bridge",
      `link add vx100 type vxlan id ${VNI} local 10.99.${n}.1 dstport 4789 nolearning`,
      "link set vx100 master br100 addrgenmode none up",
      "link set br100 addrgenmode none up",
    ]);
    execFileSync("bridge", ["-n", space(tor), "link", "set", "dev", "vx100", "learning", "off"]);
  }
  for (const [place, tor] of torOf.entries()) {
    ip(`tor${tor}`, [
      `link add p${place} type veth peer name e0 netns ${space(`place${place}`)}`,
      `link set p${place} master br100 addrgenmode none up`,
    ]);
    ip(`place${place}`, ["link set e0 promisc on up"]); // it holds several VNICs
  }
}

// Moves that follow each other so fast would look like duplicates (RFC 7432 §15.1): they are not looked for.
const edge = (n) => `frr defaults datacenter
log stdout
router bgp 6500${n}
 bgp router-id 10.99.${n}.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp enforce-first-as
 neighbor 10.99.${n}.2 remote-as 65000
 neighbor 10.99.${n}.2 timers connect 1
 address-family l2vpn evpn
  neighbor 10.99.${n}.2 activate
  no dup-addr-detection
  advertise-all-vni
`;

const each = (line) => tors.map((n) => line.replaceAll("$", n)).join("\n");
const routeServer = `frr defaults datacenter
log stdout
router bgp 65000
 bgp router-id 10.99.0.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
${each(" neighbor 10.99.$.1 remote-as 6500$")}
 address-family l2vpn evpn
${each("  neighbor 10.99.$.1 activate\n  neighbor 10.99.$.1 route-server-client")}
`;
