// `npm run bench -- <name> [arguments]`. Each prints its figures as JSON.
const benches = {
  attach: "VNIC attached to first ping answered: p50 and p99 (argument: rounds, 100)",
  dataplane:
    "frames per second, TCP, round trips: ours beside the kernel's bridge, Open vSwitch and the bare redirect (--help)",
  edge: "our station and the edge port of a bridge, in memory: what a VSI costs (arguments: VSIs, 1000; rounds, 5)",
  migration:
    "VNICs that move under a stream, ours beside FRR's EVPN: lost, twice, outage; a server evacuated (--help)",
  nva: "claims per second, one change to 1,000 watchers, sync of 100,000 mappings, memory (--help)",
  vdp: "Associate to answer, associations per second: our bridge against lldpad's, and a rack (--help)",
};

const [name = "", ...rest] = process.argv.slice(2);
if (!(name in benches)) {
  const list = Object.entries(benches).map(([bench, what]) => `  ${bench}   ${what}`);
  process.stderr.write(`${["npm run bench -- <name>", ...list].join("\n")}\n`);
  process.exit(2);
}
const { run } = await import(`./${name}.mjs`);
await run(...rest);
