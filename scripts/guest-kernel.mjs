// Debian's kernel for the tests that need what the one here may lack (VLAN filtering, 8021q, GRE, MPLS): it runs in a QEMU
// guest. Nothing is installed: the package is taken apart in .cache/guest-kernel. Plain Node without npm packages.
//
//   node scripts/guest-kernel.mjs
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const cache = fileURLToPath(new URL("../.cache", import.meta.url));

/** In it: `vmlinuz`, and `modules`, whose names sort in the order in which they are to be loaded. */
export const guestKernel = join(cache, "guest-kernel");

/** What the guest needs to come up, and what is tested with. */
const MODULES = [
  ...["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"],
  ...["veth", "bridge", "vxlan", "8021q"],
  ...[
    "sch_ingress",
    "cls_flower",
    "cls_u32",
    "cls_matchall",
    "cls_bpf",
    "act_gact",
    "act_vlan",
    "act_mirred",
  ],
  ...["virtio_net", "gre", "ip_gre", "ip6_gre", "mpls_router", "mpls_iptunnel"],
];

/** Takes the kernel from the package server, unless it is here. @returns whether there was anything to do. Throws why it cannot be had */
export function fetchGuestKernel() {
  const wanted = MODULES.join("\n");
  const list = join(guestKernel, "wanted");
  if (existsSync(list) && readFileSync(list, "utf8") === wanted) return false;
  if (process.arch !== "x64") throw new Error("the guest is an x86-64 machine, this one is not");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "kernel-"));
  try {
    unpack(download(work), work);
    const made = join(work, "made");
    collect(join(work, "root"), made);
    writeFileSync(join(made, "wanted"), wanted);
    rmSync(guestKernel, { recursive: true, force: true });
    renameSync(made, guestKernel);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return true;
}

function download(folder) {
  const depends = run("apt-cache", ["depends", "linux-image-amd64"], folder);
  const name = /Depends: *(linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined)
    throw new Error("no package linux-image-amd64 is known here (Debian has it)");
  run("apt-get", ["-q", "download", name], folder);
  const file = readdirSync(folder).find((entry) => entry.endsWith(".deb"));
  if (file === undefined) throw new Error(`apt-get download ${name} left no file`);
  return join(folder, file);
}

const unpack = (file, folder) => run("dpkg-deb", ["-x", file, join(folder, "root")], folder);

function collect(root, to) {
  const release = readdirSync(join(root, "lib/modules"))[0] ?? "";
  const found = new Map();
  const kernel = join(root, "lib/modules", release, "kernel");
  for (const path of readdirSync(kernel, { recursive: true })) {
    if (path.endsWith(".ko")) found.set(moduleName(path), join(kernel, path));
  }
  mkdirSync(join(to, "modules"), { recursive: true });
  for (const [at, path] of inOrder(MODULES, found).entries()) {
    const number = String(at).padStart(2, "0");
    copyFileSync(path, join(to, "modules", `${number}-${basename(path)}`));
  }
  copyFileSync(join(root, "boot", `vmlinuz-${release}`), join(to, "vmlinuz"));
}

/** Each after those that it needs, which it says itself (modinfo's `depends`). */
function inOrder(names, found, order = new Set()) {
  for (const name of names) {
    const path = found.get(name);
    if (path === undefined || order.has(path)) continue; // is in the kernel itself
    const [, depends = ""] = /\0depends=([^\0]*)\0/.exec(readFileSync(path, "latin1")) ?? [];
    inOrder(depends.split(",").map(moduleName), found, order);
    order.add(path);
  }
  return [...order];
}

const moduleName = (path) => basename(path, ".ko").replaceAll("-", "_");

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr.trim()}`);
  return stdout;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const fetched = fetchGuestKernel();
  process.stdout.write(`${guestKernel} ${fetched ? "is made" : "is there"}\n`);
}
