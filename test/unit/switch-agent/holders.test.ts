import { Mac, VdpError } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { a, Bench, b, blue, groups, port, red, vnicOf, vniOf } from "./nve-bench.ts";

let nve: Bench;
beforeEach(() => {
  nve = new Bench(port("swp1"), port("swp2"));
  nve.feed({ on: "nva", connected: true });
});

const placeOf = (mac: string) =>
  nve.intents.find(
    (intent) => intent.is === "mac" && intent.mac === mac && intent.vni === vniOf(red),
  );
const stations = [Mac("52:54:00:aa:00:01"), Mac("52:54:00:aa:00:02")] as const;

test("H26: a MAC that another VNIC has in use on another port is not taken, and nothing is asked or lent", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  const effects = nve.ask("thief", "swp2", groups([red, b], [red, a]));
  expect(effects.map((effect) => effect.do)).not.toContain("admit");
  expect(nve.refused).toMatchObject({
    code: VdpError.invalidVidGroupOrMac,
    hard: false,
    reason: `MAC ${a} of VN ${red} is in use by another VNIC`,
    detail: `VNIC ${vnicOf("vm1")} on port swp1`,
  });
  expect(placeOf(a)).toMatchObject({ at: { port: "swp1" } });
  expect(nve.core.ports.get("swp2")?.pool.lent.size).toBe(0);
  expect(nve.core.vsis.has("thief")).toBe(false);
});

test("H26: whoever comes while the other is decided finds it taken, too", () => {
  const verdict = nve.verdict;
  nve.verdict = (vn) => {
    nve.core.step(
      { on: "ask", ask: { ...askOf("vm1", "swp1"), filters: groups([red, a]) } },
      nve.now,
    );
    nve.core.step(
      {
        on: "verdicts",
        vsi: "vm1",
        serial: nve.core.vsis.get("vm1")?.pending?.serial ?? 0,
        verdicts: new Map([[red, verdict(red)]]),
      },
      nve.now,
    );
    return verdict(vn);
  };
  nve.ask("thief", "swp2", groups([red, a]));
  expect(nve.refused?.reason).toContain("in use");
});

const askOf = (vsi: string, where: string) => ({
  vsi,
  port: where,
  vnic: vnicOf(vsi),
  hypervisor: "server1",
  mode: "associate" as const,
  suspended: false,
});

test("H20: the same VNIC on another port is its move", () => {
  const vnic = vnicOf("vm1");
  nve.ask("vm1@swp1", "swp1", groups([red, a]), { vnic });
  nve.ask("vm1@swp2", "swp2", groups([red, a]), { vnic });
  expect(nve.granted).toBeDefined();
  expect(placeOf(a)).toMatchObject({ at: { port: "swp2" } });
});

test("H5: the same MAC in another VN is another", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp2", groups([blue, a]));
  expect(nve.granted).toBeDefined();
});

test.each([
  ["is suspended", { suspended: true }],
  ["is only prepared", { mode: "pre-associate-rr" as const }],
])("a MAC whose VNIC %s may be taken", (_, more) => {
  nve.ask("vm1", "swp1", groups([red, a]), more);
  nve.ask("vm2", "swp2", groups([red, a]));
  expect(nve.granted).toBeDefined();
});

test("a MAC behind a dead link may be taken; one that has gone or was given up, too", () => {
  nve.ask("vm1", "swp1", groups([red, a], [red, b]));
  nve.feed({ on: "link", port: "swp1", up: false });
  nve.ask("vm2", "swp2", groups([red, a]));
  expect(nve.granted).toBeDefined();
  nve.release("vm2");
  nve.feed({ on: "link", port: "swp1", up: true });
  nve.ask("vm2", "swp2", groups([red, a]));
  expect(nve.refused).toBeDefined();
  nve.ask("vm1", "swp1", groups([red, b]));
  nve.ask("vm2", "swp2", groups([red, a]));
  expect(nve.granted).toBeDefined();
  nve.release("vm1");
  nve.ask("vm3", "swp2", groups([red, b]));
  expect(nve.granted).toBeDefined();
});

test("preparing takes nothing; going active does, and the prepared state stays when it is refused", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp2", groups([red, a]), { mode: "pre-associate-rr" });
  expect(nve.granted).toBeDefined();
  nve.ask("vm2", "swp2", groups([red, a]));
  expect(nve.refused?.reason).toContain("in use");
  expect(nve.core.vsis.get("vm2")?.granted?.ask.mode).toBe("pre-associate-rr");
});

test("RFC 8394 Req-2: on one port the MAC of another station's VNIC is not taken; its own may be", () => {
  nve.ask("vm1", "swp1", groups([red, a]), { station: stations[0] });
  nve.ask("vm2", "swp1", groups([red, a]), { station: stations[1] });
  expect(nve.refused?.reason).toContain("in use");
  nve.ask("vm3", "swp1", groups([red, a]), { station: stations[0] });
  expect(nve.granted).toBeDefined();
});

test("A11: what an administrator binds goes first, and a station does not take it", () => {
  const fixed = { by: "fixed", entries: [{ vn: red, tag: 0, mac: a }] } as const;
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("bound", "swp2", fixed, { origin: "static" });
  expect(nve.did("grant")).toHaveLength(1);
  nve.release("vm1");
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(nve.refused?.reason).toContain("in use");
});
