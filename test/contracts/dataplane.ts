import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sourceCheck, untagged } from "./dataplane-access.ts";
import { Bench, type DataplaneRig } from "./dataplane-bench.ts";
import { changes, ports } from "./dataplane-changes.ts";
import { encapsulation } from "./dataplane-encapsulation.ts";
import { flooding, isolation, unicast } from "./dataplane-forwarding.ts";
import { gleaning } from "./dataplane-glean.ts";
import { inFlight } from "./dataplane-in-flight.ts";
import { floodLimits } from "./dataplane-limits.ts";
import { meters } from "./dataplane-meters.ts";
import { neighbours } from "./dataplane-neighbours.ts";
import { pulling } from "./dataplane-pull.ts";
import { profiles } from "./dataplane-rules.ts";
import { sources } from "./dataplane-sources.ts";
import { tooBig } from "./dataplane-too-big.ts";

/** Of the contract what other headers in the underlay can make different. */
export function tunnelContract(name: string, make: () => Promise<DataplaneRig>): void {
  benchSuite(name, make, (bench) => {
    unicast(bench);
    flooding(bench);
    isolation(bench);
    encapsulation(bench);
    inFlight(bench);
    changes(bench);
  });
}

/** What a driver does not do, which is said in docs/dataplane.md. */
type Without = "profiles";

/** The contract of `Dataplane`: every driver passes it. */
export function dataplaneContract(
  name: string,
  make: () => Promise<DataplaneRig>,
  without?: Without,
): void {
  benchSuite(name, make, (bench) => {
    unicast(bench);
    flooding(bench);
    isolation(bench);
    encapsulation(bench);
    inFlight(bench);
    untagged(bench);
    sourceCheck(bench);
    sources(bench);
    neighbours(bench);
    floodLimits(bench);
    if (without !== "profiles") profiles(bench);
    if (without !== "profiles") meters(bench);
    tooBig(bench);
    gleaning(bench);
    pulling(bench);
    changes(bench);
    ports(bench);

    test("V10: counters tell frames by VN and direction", async () => {
      bench.at("p1", "10", "0a", "0c");
      bench.at("p1", "10", "0a", "0b");
      bench.at("p1", "10", "0a", "ff");
      bench.over(bench.rig.a, 100, "0c", "0a");
      await bench.rig.seen();
      const { vns } = await bench.dataplane.counters();
      expect(vns).toEqual([
        { vni: 100, accessIn: 3, accessOut: 4, overlayIn: 1, overlayOut: 3, flooded: 1 },
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
  tests: (bench: Bench) => void,
): void {
  describe(name, () => {
    const bench = new Bench();
    beforeAll(() => bench.setUp(make));
    afterAll(() => bench.tearDown());
    beforeEach(() => bench.open());
    afterEach(() => bench.close());
    tests(bench);
  });
}
