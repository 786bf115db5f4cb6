import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { delimiter, join } from "node:path";
import { type Capability, hasCapability } from "./capabilities.ts";
import { isNativeBuilt } from "./native.ts";
import { loadPcap } from "./pcap-session.ts";

/** One thing that the project can use, and whether this process has it here. */
export type Finding = {
  name: string;
  ok: boolean;
  /** What was found. */
  detail: string;
  /** What to do about it, in one line; absent where nothing is to be done. */
  fix?: string;
  /** The agents run without it. */
  optional?: true;
};

/** What is looked at. Nothing is changed: no device is made, no program loaded, nothing compiled. */
export type Machine = {
  /** /proc/self/status */
  status: string;
  /** uname -r */
  release: string;
  path: string;
  exists(path: string): boolean;
  isExecutable(path: string): boolean;
  /** Names in a folder; none when there is no such folder. */
  list(folder: string): readonly string[];
  read(path: string): string;
  pcapLoads(): boolean;
  nativeBuilt(): boolean;
};

/** What this kernel and these rights allow, in the order in which to mend it. */
export function probeFeatures(machine: Machine = thisMachine()): Finding[] {
  return [
    tcx(machine),
    ...Object.entries(USES).map(([name, use]) => right(machine, name as Capability, use)),
    bpf(machine),
    libbpf(machine),
    vxlan(machine),
    finding(
      "native socket",
      machine.nativeBuilt(),
      "the packet link and rtnetlink",
      "run node scripts/native.mjs",
    ),
    finding(
      "pcap",
      machine.pcapLoads(),
      "the pcap link, optional",
      "run apt-get install -y libpcap-dev g++ make python3 && npm ci",
    ),
    ipCommand(machine),
  ];
}

const USES: Readonly<Record<Capability, string>> = {
  CAP_NET_RAW: "LLDP, ECP and VDP frames",
  CAP_NET_ADMIN: "interfaces, and tc programs",
  CAP_BPF: "BPF programs and maps",
  CAP_SYS_ADMIN: "network namespaces of the lab",
};

function tcx({ release }: Machine): Finding {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  const ok = major > 6 || (major === 6 && minor >= 6);
  return finding("TCX", ok, `Linux ${release}`, "boot Linux 6.6 or newer");
}

function right({ status }: Machine, name: Capability, use: string): Finding {
  const fix = `run as root, or give the service AmbientCapabilities=${name}`;
  return finding(name, hasCapability(name, status), `for ${use}`, fix);
}

/** The setting exists only where the kernel has the system call. */
function bpf({ status, exists, read }: Machine): Finding {
  const setting = "/proc/sys/kernel/unprivileged_bpf_disabled";
  if (!exists(setting))
    return finding("bpf()", false, "not in this kernel", "boot one with CONFIG_BPF_SYSCALL");
  const permitted = hasCapability("CAP_BPF", status) || hasCapability("CAP_SYS_ADMIN", status);
  const detail = permitted
    ? "permitted"
    : `needs CAP_BPF (unprivileged_bpf_disabled ${read(setting).trim()})`;
  return finding(
    "bpf()",
    permitted,
    detail,
    "run as root, or give the service AmbientCapabilities=CAP_BPF",
  );
}

function libbpf({ exists, list }: Machine): Finding {
  const folders = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"];
  const all = folders.flatMap((folder) => [
    folder,
    ...list(folder)
      .filter((name) => name.endsWith("-linux-gnu"))
      .map((name) => join(folder, name)),
  ]);
  const found = all.map((folder) => join(folder, "libbpf.so.1")).find(exists);
  return finding(
    "libbpf.so.1",
    found !== undefined,
    found ?? "not found",
    "run apt-get install -y libbpf1",
  );
}

/** Loaded or built in, or to be loaded by the kernel when the first device is made. */
function vxlan({ release, exists, read }: Machine): Finding {
  const fix = "boot a kernel with CONFIG_VXLAN, or install its modules package";
  if (exists("/sys/module/vxlan")) return finding("VXLAN devices", true, "in the kernel", fix);
  const index = `/lib/modules/${release}/modules.dep`;
  const ok = exists(index) && /\/vxlan\.ko/.test(read(index));
  return finding("VXLAN devices", ok, ok ? "as a module" : "not in this kernel", fix);
}

function ipCommand({ path, isExecutable }: Machine): Finding {
  const found = path
    .split(delimiter)
    .map((folder) => join(folder, "ip"))
    .find(isExecutable);
  return finding(
    "ip",
    found !== undefined,
    found ?? "not in PATH",
    "run apt-get install -y iproute2, or add /usr/sbin to PATH",
  );
}

/** In place of TCX there is clsact, of pcap the packet link; the rest only the lab needs. */
const OPTIONAL: readonly string[] = ["TCX", "CAP_SYS_ADMIN", "pcap", "ip"];

const finding = (name: string, ok: boolean, detail: string, fix: string): Finding => ({
  name,
  ok,
  detail,
  ...(!ok && { fix }),
  ...(OPTIONAL.includes(name) && { optional: true }),
});

const { PATH: searchPath = "" } = process.env;

const thisMachine = (): Machine => ({
  status: readFileSync("/proc/self/status", "utf8"),
  release: release(),
  path: searchPath,
  exists: existsSync,
  isExecutable: (path) => succeeds(() => accessSync(path, constants.X_OK)),
  list: (folder) => (existsSync(folder) ? readdirSync(folder) : []),
  read: (path) => readFileSync(path, "utf8"),
  pcapLoads: () => succeeds(loadPcap),
  nativeBuilt: isNativeBuilt,
});

function succeeds(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
