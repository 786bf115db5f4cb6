// What this machine has of what the project needs. `node scripts/doctor.mjs` prints it; setup.mjs acts on it.
// Probes look for the file that is needed, not for a package's name: on other distributions it comes otherwise.
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * What comes from outside npm. `for`: "demo" and "test" need it, or "test" alone; `optional`: without it something
 * is left out, and `without` says what; `services`: what Debian would start with it, here and at each boot.
 */
export const needs = [
  { debian: "clang", has: () => onPath("clang"), what: "clang (for the BPF programs)" },
  { debian: "libc6-dev", has: () => header("stdio.h"), what: "C headers (for the native socket)" },
  { debian: "libbpf-dev", has: () => header("bpf/bpf_helpers.h"), what: "BPF headers" },
  {
    debian: "libbpf1",
    has: () => library("libbpf.so.1"),
    what: "libbpf (loads the BPF programs)",
  },
  { debian: "iproute2", has: () => onPath("ip") && onPath("tc"), what: "ip and tc" },
  {
    debian: "util-linux",
    has: () => onPath("nsenter") && onPath("unshare"),
    what: "nsenter and unshare",
  },
  { debian: "iputils-ping", has: () => onPath("ping"), what: "ping" },
  { debian: "tcpdump", has: () => onPath("tcpdump"), what: "tcpdump" },
  {
    debian: "tshark",
    has: () => onPath("tshark"),
    what: "tshark",
    for: "test",
    without: "the tests that have it dissect our frames",
  },
  {
    debian: "lldpad",
    has: () => onPath("lldpad") && onPath("vdptool"),
    what: "lldpad",
    for: "test",
    without: "the tests with lldpad as the other side",
    services: ["lldpad.service", "lldpad.socket"],
  },
  {
    debian: "lldpd",
    has: () => onPath("lldpd") && onPath("lldpcli"),
    what: "lldpd",
    for: "test",
    without: "the tests with lldpd as a neighbour",
    services: ["lldpd.service"],
  },
  {
    debian: "etcd-server",
    has: () => onPath("etcd"),
    what: "etcd",
    for: "test",
    without: "the tests with several NVAs",
    services: ["etcd.service"],
  },
  {
    debian: "frr",
    has: () => existsSync("/usr/lib/frr/bgpd"),
    what: "FRR",
    for: "test",
    without: "the baseline of `npm run bench -- nva`",
    services: ["frr.service"],
  },
  {
    debian: "openvswitch-switch",
    has: () => onPath("ovs-vswitchd") && onPath("ovsdb-server"),
    what: "Open vSwitch",
    for: "test",
    without: "the tests with Open vSwitch as the other end, and it in `npm run bench -- dataplane`",
    services: ["openvswitch-switch.service", "ovs-vswitchd.service", "ovsdb-server.service"],
  },
  {
    debian: "iperf3",
    has: () => onPath("iperf3"),
    what: "iperf3",
    for: "test",
    without: "TCP in `npm run bench -- dataplane`",
  },
  {
    debian: "qemu-system-x86",
    has: () => process.arch !== "x64" || onPath("qemu-system-x86_64"),
    what: "QEMU",
    for: "test",
    without: "the tests in a guest with Debian's kernel",
  },
  {
    debian: "busybox-static",
    has: () => process.arch !== "x64" || existsSync("/bin/busybox"),
    what: "busybox (starts that guest)",
    for: "test",
    without: "the tests in a guest with Debian's kernel",
  },
  {
    debian: "libvirt-daemon-system",
    has: () => process.arch !== "x64" || (onPath("libvirtd") && onPath("virsh")),
    what: "libvirt",
    for: "test",
    without: "the tests with libvirt",
    services: [
      ...["libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"],
      ...["virtlogd.service", "virtlogd.socket", "virtlogd-admin.socket"],
      ...["virtlockd.service", "virtlockd.socket", "virtlockd-admin.socket"],
      "libvirt-guests.service",
    ],
  },
  ...[
    { debian: "libpcap-dev", has: () => header("pcap/pcap.h"), what: "libpcap's headers" },
    { debian: "g++", has: () => onPath("g++"), what: "a C++ compiler" },
    { debian: "make", has: () => onPath("make"), what: "make" },
    { debian: "python3", has: () => onPath("python3"), what: "Python" },
  ].map((need) => ({ ...need, for: "test", without: "the pcap link driver and its tests" })),
];

/** @param {"demo" | "test"} purpose */
export function missing(purpose) {
  return needs.filter((need) => (need.for ?? purpose) === purpose && !need.has());
}

/** Can npm build its optional package pcap here? */
export const canBuildPcap = () =>
  needs.every((need) => !need.without?.startsWith("the pcap") || need.has());

/**
 * The oldest of each line of Node that will do, as vite and vitest demand; from 23 on all will.
 *
 * @returns {string | undefined} a sentence when this Node is too old
 */
export function nodeTooOld(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const oldest = { 20: 19, 22: 12 }[major];
  if (major > 22 || minor >= oldest) return undefined;
  return `Node ${version} (${process.execPath}) will not do: 20.19 or 22.12 or newer of these lines, or 24, see https://nodejs.org`;
}

/** @returns whether a program is on PATH, or where only root has it on PATH */
export function onPath(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}

const header = (name) =>
  ["/usr/include", "/usr/local/include"].some((folder) => existsSync(join(folder, name)));

function library(name) {
  const folders = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"].filter(existsSync);
  const multiarch = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((entry) => entry.endsWith("-linux-gnu"))
      .map((entry) => join(folder, entry)),
  );
  return [...folders, ...multiarch].some((folder) => existsSync(join(folder, name)));
}

/** Bits of CapEff that the agents use. */
const capabilities = { NET_ADMIN: 12, NET_RAW: 13, SYS_ADMIN: 21, BPF: 39 };

function rights() {
  const status = readFileSync("/proc/self/status", "utf8");
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? "0"}`);
  return Object.entries(capabilities).map(([name, bit]) => ({
    ok: (effective & (1n << BigInt(bit))) !== 0n,
    what: `capability ${name}`,
    fix: "run as root",
  }));
}

function report() {
  const old = nodeTooOld();
  return [
    { ok: old === undefined, what: `Node ${process.versions.node}`, fix: old },
    ...needs.map(({ has, what, debian, without }) => ({
      ok: has(),
      optional: without !== undefined,
      what,
      fix: `apt-get install -y ${debian}${without ? ` (left out without it: ${without})` : ""}`,
    })),
    {
      ok: existsSync("/sys/kernel/btf/vmlinux"),
      what: "the kernel's type information (BTF)",
      fix: "a kernel with CONFIG_DEBUG_INFO_BTF",
    },
    ...rights(),
  ];
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const { ok, optional, what, fix } of report()) {
    process.stdout.write(`${ok ? "ok     " : "MISSING"}  ${what}${ok ? "" : `: ${fix}`}\n`);
    if (!ok && !optional) process.exitCode = 1;
  }
}
