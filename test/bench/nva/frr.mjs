// The baseline of sync: EVPN MAC routes from one FRR over another, as route server, into the kernel of a third one.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frrDaemons, missingFrr } from "./frr-daemons.mjs";
import { after, round, until } from "./rig.mjs";

const VNI = 100;
const hex = (n) => n.toString(16).padStart(2, "0");
const macText = (n) => `02:00:${[24, 16, 8, 0].map((bit) => hex((n >> bit) & 255)).join(":")}`;

export async function frr(mappings) {
  if (process.getuid() !== 0) throw new Error("needs root, for network namespaces");
  if (missingFrr() !== undefined) return { skipped: missingFrr() };
  const folder = mkdtempSync(join(tmpdir(), "bench-frr-"));
  const nodes = ["source", "server", "sink"].map((role, n) => nodeOf(role, n, folder));
  const [source, server, sink] = nodes;
  try {
    for (const node of nodes) node.make();
    cable(source, server, 1);
    cable(sink, server, 2);
    for (const node of [source, sink]) node.vxlan();
    writeFileSync(join(folder, "fdb"), lines(mappings));
    execFileSync("bridge", ["-n", source.space, "-batch", join(folder, "fdb")]);
    await source.start(configOf.source);
    await server.start(configOf.server);
    await until(
      "the route server to have all",
      async () => (await server.routes()) >= mappings,
      60_000,
      500,
    );
    await sink.start(configOf.sink);
    return { mappings, ...(await synced(sink, server, mappings)) };
  } finally {
    for (const node of nodes) await node.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The sink's session is let up: until its kernel has all MACs. */
async function synced(sink, server, mappings) {
  const [cpu, serverCpu] = [sink.cpu(), server.cpu()];
  const begin = performance.now();
  sink.vtysh("configure terminal", "router bgp 65002", "no neighbor 10.99.2.2 shutdown");
  let first;
  for (let n = 0; n < mappings; n = sink.fdb()) {
    if (n > 0) first ??= performance.now() - begin;
    if (performance.now() - begin > 50_000) throw new Error(`${n} MACs after 50 s`);
    await after(300); // a dump of 100,000 takes its time, too
  }
  const ms = performance.now() - begin;
  return {
    allMs: Math.round(ms),
    firstMs: Math.round(first ?? ms), // the session takes this long, mostly
    fromFirstMs: Math.round(ms - (first ?? 0)),
    sinkCpuMs: sink.cpu() - cpu,
    routeServerCpuMs: server.cpu() - serverCpu,
    sinkMb: round(sink.rss() / 1e6),
  };
}

const lines = (count) =>
  Array.from({ length: count }, (_, n) => `fdb add ${macText(n)} dev d0 master dynamic\n`).join("");

function nodeOf(role, n, folder) {
  const name = `bench-frr-${process.pid}-${n}`;
  const ip = (line) => execFileSync("ip", ["-n", name, ...line.split(" ")]);
  const { start, stop, vtysh, cpu, rss } = frrDaemons(name, folder);
  return {
    space: name,
    make() {
      execFileSync("ip", ["netns", "add", name]);
      ip("link set lo up");
    },
    address: (device, address) => {
      ip(`addr add ${address} dev ${device}`);
      ip(`link set ${device} up`);
    },
    route: (line) => ip(`route add ${line}`),
    vxlan() {
      ip("link add br100 type bridge");
      const local = role === "source" ? "10.99.1.1" : "10.99.2.1";
      ip(`link add vx100 type vxlan id ${VNI} local ${local} dstport 4789 nolearning`);
      ip("link add d0 type veth peer name d1");
      ip("link set d1 up");
      for (const port of ["vx100", "d0"]) ip(`link set ${port} master br100 addrgenmode none up`);
      ip("link set br100 addrgenmode none up");
      execFileSync("bridge", ["-n", name, "link", "set", "dev", "vx100", "learning", "off"]);
    },
    start: (config) => start(role, config),
    vtysh,
    routes: () => {
      const { peers = {} } = JSON.parse(vtysh("show bgp l2vpn evpn summary json"));
      return Math.max(0, ...Object.values(peers).map(({ pfxRcd = 0 }) => pfxRcd));
    },
    fdb: () => {
      const all = spawnSync("bridge", ["-n", name, "fdb", "show", "dev", "vx100"], {
        maxBuffer: 1 << 28,
      });
      let count = 0;
      for (
        let at = all.stdout.indexOf("master br100");
        at >= 0;
        at = all.stdout.indexOf("master br100", at + 1)
      )
        count += 1;
      return count;
    },
    cpu,
    rss,
    async close() {
      await stop();
      spawnSync("ip", ["netns", "del", name]);
    },
  };
}

/** From an edge to the route server, and the way to the other edge. */
function cable(edge, server, n) {
  const line = `link add e0 netns ${edge.space} type veth peer name s${n} netns ${server.space}`;
  execFileSync("ip", line.split(" "));
  edge.address("e0", `10.99.${n}.1/24`);
  server.address(`s${n}`, `10.99.${n}.2/24`);
  edge.route(`10.99.0.0/16 via 10.99.${n}.2`);
}

const edge = (as, neighbour, more = "") => `frr defaults datacenter
log stdout
router bgp ${as}
 bgp router-id ${neighbour.replace(/2$/, "1")}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp enforce-first-as
 neighbor ${neighbour} remote-as 65000
 neighbor ${neighbour} timers connect 1
${more} address-family l2vpn evpn
  neighbor ${neighbour} activate
  advertise-all-vni
`;

const configOf = {
  source: edge(65001, "10.99.1.2"),
  sink: edge(65002, "10.99.2.2", " neighbor 10.99.2.2 shutdown\n"),
  server: `frr defaults datacenter
log stdout
router bgp 65000
 bgp router-id 10.99.0.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 10.99.1.1 remote-as 65001
 neighbor 10.99.2.1 remote-as 65002
 address-family l2vpn evpn
  neighbor 10.99.1.1 activate
  neighbor 10.99.1.1 route-server-client
  neighbor 10.99.2.1 activate
  neighbor 10.99.2.1 route-server-client
`,
};
