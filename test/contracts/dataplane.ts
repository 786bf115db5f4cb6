import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sourceCheck, untagged } from "./dataplane-access.ts";
import { Bench, type DataplaneRig, type Part } from "./dataplane-bench.ts";
import { changes, ports } from "./dataplane-changes.ts";
import { encapsulation } from "./dataplane-encapsulation.ts";
import { flooding, isolation, unicast } from "./dataplane-forwarding.ts";
import { gleaning } from "./dataplane-glean.ts";
import { inFlight } from "./dataplane-in-flight.ts";
import { floodLimits } from "./dataplane-limits.ts";
import { malformed } from "./dataplane-malformed.ts";
import { meters } from "./dataplane-meters.ts";
import { neighbours } from "./dataplane-neighbours.ts";
import { pulling } from "./dataplane-pull.ts";
import { profiles } from "./dataplane-rules.ts";
import { sources } from "./dataplane-sources.ts";
import { suspended } from "./dataplane-suspended.ts";
import { tooBig } from "./dataplane-too-big.ts";

/** Of the contract what other headers in the underlay can make different. */
export function tunnelContract(name: string, make: () => Promise<DataplaneRig>): void {
  benchSuite(name, make, [], (bench) => {
    unicast(bench);
    flooding(bench);
    isolation(bench);
    malformed(bench);
    encapsulation(bench);
    inFlight(bench);
    suspended(bench);
    changes(bench);
  });
}

/**
 * The contract of `Dataplane`: every driver passes it.
 *
 * @param without what it does not do, and docs/dataplane.md says so: skipped, and shown as skipped
 */
export function dataplaneContract(
  name: string,
  make: () => Promise<DataplaneRig>,
  without: readonly Part[] = [],
): void {
  benchSuite(name, make, without, (bench) => {
    const unless = (part: Part, define: (bench: Bench) => void): void => {
      if (bench.without.has(part))
        describe.skip(`this driver is without ${part}`, () => define(bench));
      else define(bench);
    };

    unicast(bench);
    flooding(bench);
    isolation(bench);
    malformed(bench);
    encapsulation(bench);
    unless("in flight", inFlight);
    untagged(bench);
    sourceCheck(bench);
    unless("IPs of sources", sources);
    unless("neighbours", neighbours);
    unless("flood limits", floodLimits);
    unless("profiles", profiles);
    unless("meters", meters);
    unless("too big", tooBig);
    unless("suspended", suspended);
    unless("gleaning", gleaning);
    unless("pull", pulling);
    changes(bench);
    ports(bench);

    test("V10: counters tell frames by VN and direction", async () => {
      bench.at("p1", "10", "0a", "0c");
      bench.at("p1", "10", "0a", "0b");
      bench.at("p1", "10", "0a", "ff");
      bench.over(bench.rig.a, 100, "0c", "0a");
      await bench.rig.seen();
      const { vns } = await bench.dataplane.counters();
      const flooded = bench.without.has("flood counters") ? 0 : 1;
      expect(vns).toEqual([
        { vni: 100, accessIn: 3, accessOut: 4, overlayIn: 1, overlayOut: 3, flooded },
        { vni: 200, accessIn: 0, accessOut: 0, overlayIn: 0, overlayOut: 0, flooded: 0 },
      ]);
    });

    test("closed, it forwards nothing and refuses to be asked", async () => {
      await bench.dataplane.close();
      await bench.dataplane.close();
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual([]);
      await expect(bench.dataplane.ensure([])).rejects.toThrow("closed");
    });
  });
}

/** A rig for all tests, a driver that is opened for each. */
function benchSuite(
  name: string,
  make: () => Promise<DataplaneRig>,
  without: readonly Part[],
  tests: (bench: Bench) => void,
): void {
  describe(name, () => {
    const bench = new Bench(without);
    beforeAll(() => bench.setUp(make));
    afterAll(() => bench.tearDown());
    beforeEach(() => bench.open());
    afterEach(() => bench.close());
    tests(bench);
  });
}
