import { type ChildProcess, spawn } from "node:child_process";
import { namespaceOf } from "@nve/lab/topology";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until, useLab } from "../support/lab.ts";

// One lab for the file: lb1 has no VMs, it is on the network itself.
const lab = useLab("appliance");
const VIP = "192.0.2.80";
const MAC = "02:00:00:00:00:fb";

const WEB = `require("node:http").createServer((_, to) => to.end("served by lb1\\n")).listen(80, "${VIP}", () => console.log("ready"))`;
const GET = `fetch("http://${VIP}/").then((from) => from.text()).then((text) => process.stdout.write(text), () => process.exit(1))`;

let web: ChildProcess | undefined;

beforeAll(async () => {
  await lab.run("nva", "nva", "vn", "create", "front", "--id", "5001", "--vni", "65001");
  for (const node of ["srv1", "lb1"]) {
    await until(`${node} to hear its switch`, async () => {
      const uplinks = (await lab.show(node, "hypervisor-agent", "show", "uplinks")) as {
        reason: string;
      }[];
      return uplinks.every(({ reason }) => reason === "") || undefined;
    });
  }
  const vm = ["tap-vm1", "--vn", "5001", "--mac", "02:00:00:00:00:01", "--ip", "192.0.2.1"];
  await lab.run("srv1", "hypervisor-agent", "vnic", "attach", ...vm);
});
afterAll(() => web?.kill());

test("H15: without a MAC that could be seen, attach says what is missing", async () => {
  const { code, stderr } = await lab.exec(
    "srv1",
    "hypervisor-agent",
    "vnic",
    "attach",
    "tap-vm1",
    "--vn",
    "5001",
  );
  expect(code).toBe(1);
  expect(stderr).toMatch(/--mac is missing: .* the other end of tap-vm1 is not to be seen here/);
});

test("H15: an appliance attaches its own interface, with the MAC of the end that its processes use", async () => {
  const words = ["svc0", "--vn", "5001", "--ip", VIP, "--vm-name", "load balancer"];
  await lab.run("lb1", "hypervisor-agent", "vnic", "attach", ...words);
  const [vnic] = (await lab.show("lb1", "hypervisor-agent", "vnic", "list")) as {
    state: string;
    vns: { macs: unknown[] }[];
  }[];
  expect(vnic).toMatchObject({ state: "associated", vns: [{ macs: [{ mac: MAC, ips: [VIP] }] }] });
  const seen = (await lab.show("tor2", "switch-agent", "show", "vnics")) as {
    hypervisor: string;
  }[];
  expect(seen).toMatchObject([{ hypervisor: "lb1", vmName: "load balancer" }]);
});

test("H15: a VM on another rack gets a page from the appliance's web server", async () => {
  const namespace = namespaceOf(lab.name, "lb1");
  web = spawn("ip", ["netns", "exec", namespace, process.execPath, "-e", WEB], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => web?.stdout?.once("data", resolve));
  expect(await lab.run("vm1", process.execPath, "-e", GET)).toBe("served by lb1\n");
});

test("H15: detached, it is out of reach, and the NVA knows nothing of it", async () => {
  await lab.run("lb1", "hypervisor-agent", "vnic", "detach", "svc0");
  expect(await lab.ping("vm1", VIP, 1)).toBe(false);
  const mappings = (await lab.show("nva", "nva", "mapping", "list")) as { mac: string }[];
  expect(mappings.map(({ mac }) => mac)).not.toContain(MAC);
});
