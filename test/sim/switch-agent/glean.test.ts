import { Mac, VnId, Vni } from "@nve/protocol-spec";
import { fdbEntries } from "@nve/switch-agent/fdb-entries";
import type { Sample } from "@nve/switch-agent/nve";
import { beforeEach, expect, test } from "vitest";
import { arpFrom } from "../../support/sighted.ts";
import { settle, type Tor, tor } from "./tor.ts";
import { a } from "./vsis.ts";

const red = VnId(5001);
const said = Mac("02:00:00:00:00:0b");
const at = { is: "local", port: "swp2", vid: 0 } as const;
const sample = (mac = a, ip = "10.0.0.1"): Sample => ({
  vni: Vni(15001),
  at,
  octets: arpFrom(mac, ip),
});

let it: Tor;

/** swp2 has no protocol; it forgets after 5 seconds. */
async function start(port = "", glean = "{ macSeconds: 5, ipSeconds: 9 }"): Promise<void> {
  const vns = `[{ vn: 5001, macs: [{ mac: ${said}, ips: [10.0.0.9] }] }]`;
  it = tor(`[{ name: swp1 }, { name: swp2, static: ${vns}${port} }]\nglean: ${glean}`);
  it.nva.connect();
  await settle();
}
beforeEach(() => start());

async function see(...samples: Sample[]): Promise<void> {
  it.dataplane.sample(...samples);
  it.clock.advance(0);
  await settle();
}

async function pass(ms: number): Promise<void> {
  it.clock.advance(ms);
  await settle();
}

const place = (mac = a) => it.dataplane.intents.get(`mac 15001 ${mac}`);
const claims = () =>
  it.nva.reports
    .flatMap(({ claims }) => claims)
    .filter(({ gleaned }) => gleaned)
    .map(({ mac, ips }) => [mac, ips]);

test("H16: a port without protocol gleans: into the dataplane, and to the NVA", async () => {
  expect(it.dataplane.intents.get("access swp2 0")).toMatchObject({ glean: true });
  await see(sample());
  expect(place()).toMatchObject({ at });
  expect(claims()).toEqual([[a, ["10.0.0.1"]]]);
});

test("H17: a MAC that the dataplane has not heard for so long is forgotten, no later than a second after", async () => {
  await see(sample());
  it.dataplane.silence = 3000; // heard two seconds after the sample
  await pass(5000);
  expect(place()).toBeDefined();
  it.dataplane.silence = 5000;
  await pass(1999);
  expect(place()).toBeDefined();
  await pass(1001);
  expect(place()).toBeUndefined();
  expect(it.nva.reports.at(-1)?.withdrawn).toEqual([{ vn: red, mac: a }]);
});

test("H17: who asks is told who says so, since when and until when, as it is now", async () => {
  const began = it.agent.startedUnixMs;
  await pass(1000);
  await see(sample(), sample(said, "10.0.0.8"));
  await pass(2000);
  it.dataplane.silence = 500;
  it.agent.gleaning.refresh();
  const [first, second] = fdbEntries(it.agent, red);
  expect(first).toMatchObject({
    mac: said,
    ips: ["10.0.0.8", "10.0.0.9"],
    provenance: { by: "static", untilUnixMs: 0n },
    ipProvenance: { "10.0.0.8": { by: "arp" }, "10.0.0.9": { by: "static", untilUnixMs: 0n } },
  });
  expect(second).toMatchObject({ mac: a, where: "local", port: "swp2", tag: 0, applied: true });
  expect(second?.provenance).toEqual({
    by: "source",
    sinceUnixMs: BigInt(began + 1000),
    untilUnixMs: BigInt(began + 7500),
  });
  expect(second?.ipProvenance["10.0.0.1"]).toEqual({
    by: "arp",
    sinceUnixMs: BigInt(began + 1000),
    untilUnixMs: BigInt(began + 10_000),
  });
});

test("a port gleans no more than its config lets it, or not at all", async () => {
  await start(", maxGleaned: 2");
  await see(...[1, 2, 3].map((n) => sample(Mac(`02:00:00:00:01:0${n}`), `10.0.1.${n}`)));
  expect(claims()).toHaveLength(2);
  expect(it.agent.core.gleaned.counters("swp2")["over-limit"]).toBe(1);
  await start(", glean: false");
  expect(it.dataplane.intents.get("access swp2 0")).not.toHaveProperty("glean");
  await see(sample());
  expect(claims()).toEqual([]);
});

test("V10: a VN has no more of it than its limit", async () => {
  await start("", "{ maxPerVn: 1 }");
  await see(sample(), sample(Mac("02:00:00:00:01:01"), "10.0.1.1"));
  expect(claims()).toHaveLength(1);
});

test("closed, it leaves no alarm", async () => {
  await see(sample());
  await it.agent.close();
  await pass(60_000);
  expect(it.dataplane.closed).toBe(true);
});
