import { hasCapability, type Machine, probeFeatures } from "@nve/linux";
import { expect, test } from "vitest";

const bare: Machine = {
  status: "CapEff:\t0000000000000000\n",
  release: "6.1.0-18-amd64",
  path: "/usr/bin:/bin",
  exists: () => false,
  isExecutable: () => false,
  list: () => [],
  read: () => "",
  pcapLoads: () => false,
  nativeBuilt: () => false,
};

const whole: Machine = {
  ...bare,
  status: "CapEff:\t000001ffffffffff\n",
  release: "6.6.0",
  exists: (path) =>
    ["/sys/module/vxlan", "/proc/sys/kernel/unprivileged_bpf_disabled"].includes(path) ||
    path === "/usr/lib/aarch64-linux-gnu/libbpf.so.1",
  isExecutable: (path) => path === "/bin/ip",
  list: (folder) => (folder === "/usr/lib" ? ["aarch64-linux-gnu", "python3"] : []),
  read: () => "2\n",
  pcapLoads: () => true,
  nativeBuilt: () => true,
};

const failing = (machine: Machine): string[] =>
  probeFeatures(machine).flatMap(({ name, ok }) => (ok ? [] : [name]));

test("a machine that has all lacks nothing, and nothing is to be mended", () => {
  expect(failing(whole)).toEqual([]);
  expect(probeFeatures(whole).filter(({ fix }) => fix !== undefined)).toEqual([]);
});

test("a bare machine is told one line for each thing that it lacks", () => {
  const findings = probeFeatures(bare);
  expect(findings.filter(({ ok }) => ok)).toEqual([]);
  for (const { fix } of findings) expect(fix).toMatch(/^[^\n]{10,120}$/);
});

test("each lack is found by itself", () => {
  expect(failing({ ...whole, release: "6.5.13" })).toEqual(["TCX"]);
  expect(failing({ ...whole, release: "7.0.0-rc1" })).toEqual([]);
  expect(failing({ ...whole, status: "CapEff:\t00000000a80425fb\n" })).toEqual([
    "CAP_NET_ADMIN",
    "CAP_BPF",
    "CAP_SYS_ADMIN",
    "bpf()",
  ]);
  expect(failing({ ...whole, isExecutable: () => false })).toEqual(["ip"]);
});

test("VXLAN may also be a module that is not loaded yet", () => {
  const index = "/lib/modules/6.6.0/modules.dep";
  const modular: Machine = {
    ...whole,
    exists: (path) => path !== "/sys/module/vxlan" && (path === index || whole.exists(path)),
    read: (path) =>
      path === index ? "kernel/drivers/net/vxlan/vxlan.ko.xz: kernel/net/udp_tunnel.ko.xz\n" : "2",
  };
  expect(failing(modular)).toEqual([]);
  expect(failing({ ...modular, read: () => "" })).toEqual(["VXLAN devices"]);
});

test("a capability is a bit of CapEff", () => {
  expect(hasCapability("CAP_NET_RAW", "CapEff:\t0000000000002000\n")).toBe(true);
  expect(hasCapability("CAP_NET_ADMIN", "CapEff:\t0000000000002000\n")).toBe(false);
  expect(hasCapability("CAP_BPF", "CapEff:\t0000008000000000\n")).toBe(true);
  expect(hasCapability("CAP_NET_RAW", "")).toBe(false);
});
