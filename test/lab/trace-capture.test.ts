import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { dissect } from "../support/tshark.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

const lab = useTwoRacks();
const folder = mkdtempSync(join(tmpdir(), "captures-"));
afterAll(() => rmSync(folder, { recursive: true }));

let tag = 0;
beforeAll(async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  for (const name of ["red1", "red3"]) await lab.attach(name);
  tag = (await lab.tags("tor1")).find(({ vn }) => vn === VN.red)?.tag ?? 0;
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
}, 60_000);

const port = async () => (await lab.tags("tor1"))[0]?.port ?? "";

const fields = (from: string, to: string) => [
  ...["--from", vm(from).mac, "--to", vm(to).mac],
  ...["--src-ip", vm(from).ip, "--dst-ip", vm(to).ip, "--proto", "icmp"],
];

test("trace tells the way of a frame between VMs of two racks, at both ends", async () => {
  const words = ["switch-agent", "trace", await port(), String(tag), ...fields("red1", "red3")];
  const told = await lab.run("tor1", ...words);
  expect(told).toContain(`VN ${VN.red} (red), VNI ${VNI.red}`);
  expect(told).toMatch(new RegExp(`source +${vm("red1").mac} is there: VNIC `));
  expect(told).toMatch(/encapsulation +vxlan, .* by hand out of /);
  expect(told).toMatch(/forwarded +to .* in vxlan/);
  const { outputs } = (await lab.show("tor1", ...words)) as {
    outputs: { vtep: string; source: string }[];
  };
  const [{ source = "" } = {}] = outputs;
  const over = ["--from-overlay", "--vtep", source, "--vni", String(VNI.red)];
  const arrived = await lab.show(
    "tor2",
    "switch-agent",
    "trace",
    ...over,
    ...fields("red1", "red3"),
  );
  expect(arrived).toMatchObject({ verdict: "forwarded", outputs: [{ vtep: "" }] });
  const stranger = ["--from-overlay", "--vtep", "203.0.113.9", "--vni", String(VNI.red)];
  expect(
    await lab.show("tor2", "switch-agent", "trace", ...stranger, ...fields("red1", "red3")),
  ).toMatchObject({ verdict: "dropped", reason: "stranger-vtep" });
});

test("trace of a port that is not there is refused with the reason", async () => {
  const words = ["switch-agent", "trace", "swp99", "1", ...fields("red1", "red3")];
  const { code, stderr } = await lab.exec("tor1", ...words);
  expect(code).toBe(1);
  expect(stderr).toContain("no access port swp99 is there");
});

/** Runs it while red1 sends, until it ends by itself. */
async function capturing(...words: string[]): Promise<{ code: number; stdout: string }> {
  let outcome: { code: number; stdout: string } | undefined;
  const run = lab.exec("tor1", "switch-agent", "capture", ...words).then((done) => {
    outcome = done;
  });
  await until(
    "the capture to have its frames",
    async () => {
      await lab.ping("red1", vm("red3").ip, 1);
      return outcome;
    },
    30_000,
  );
  await run;
  if (outcome === undefined) throw new Error("it has not ended");
  return outcome;
}

test("capture shows frames with what becomes of them, in lines and as pcapng that tshark reads", async () => {
  const { stdout } = await capturing("--count", "4", "--vn", String(VN.red));
  expect(stdout).toMatch(
    new RegExp(
      ` ${tag} +VN ${VN.red} \\(red\\) +to nve .* \\(vxlan\\) +${vm("red1").mac} to ${vm("red3").mac}, IPv4 .* icmp`,
    ),
  );
  expect(stdout).toMatch(
    new RegExp(
      `nve .* VN ${VN.red} \\(red\\) +to .* ${tag} +${vm("red3").mac} to ${vm("red1").mac}`,
    ),
  );
  const path = join(folder, "frames.pcapng");
  expect((await capturing("--count", "4", "-w", path)).code).toBe(0);
  const rows = await dissect(
    path,
    "icmp.type == 8",
    "frame.comment",
    "frame.interface_name",
    "vlan.id",
  );
  expect(rows.length).toBeGreaterThan(0);
  expect(rows[0]).toEqual([
    expect.stringMatching(/^to nve .* \(vxlan\); VN .*; VNIC /),
    await port(),
    String(tag),
  ]);
});

const killed =
  "exec 3< <(exec switch-agent capture 2>&1); pid=$!; read -u3 line; kill -KILL $pid; echo $line";

test("capture --drops shows the reason, and a capture ends when its client is killed", async () => {
  const run = lab.exec("tor1", "switch-agent", "capture", "--drops", "--count", "1");
  let text: string | undefined;
  run.then(({ stdout }) => {
    text = stdout;
  });
  const frame = Buffer.from(`${"02".repeat(12)}81000fa088b5`.padEnd(120, "0"), "hex");
  await until(
    "a drop to be shown",
    async () => {
      await lab.send("srv1", "eth1", frame);
      return text;
    },
    30_000,
  );
  expect(text).toContain("dropped: no-such-tag");
  // More than can run at a time.
  for (let n = 0; n < 9; n++) {
    expect(await lab.run("tor1", "bash", "-c", killed)).toContain("capturing");
  }
  expect((await capturing("--count", "1")).code).toBe(0);
}, 90_000);
