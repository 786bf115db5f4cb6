import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * An initramfs that loads the modules, makes the host's files its own (to read: what it writes stays in memory), and
 * runs one shell command in them.
 *
 * @param kernel folder made by scripts/guest-kernel.mjs
 */
export function initramfs(kernel: string, command: string): Uint8Array {
  const modules = readdirSync(join(kernel, "modules")).sort();
  const folders = ["bin", "mod", "proc", "sys", "host", "memory", "root"];
  return archive([
    ...folders.map((name) => ({ name, mode: 0o040755, octets: new Uint8Array() })),
    { name: "bin/busybox", mode: 0o100755, octets: readFileSync("/bin/busybox") },
    ...modules.map((name) => ({
      name: `mod/${name}`,
      mode: 0o100644,
      octets: readFileSync(join(kernel, "modules", name)),
    })),
    { name: "init", mode: 0o100755, octets: utf8.encode(script) },
    { name: "command", mode: 0o100644, octets: utf8.encode(command) },
  ]);
}

const script = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for m in /mod/*; do $b insmod $m || echo "cannot load $m"; done
$b mount -t tmpfs memory /memory
$b mkdir /memory/upper /memory/work
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
$b mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work over /root
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t bpf bpf /root/sys/fs/bpf
$b mount -t devtmpfs dev /root/dev
$b mount -t tmpfs run /root/run
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
$b chroot /root /bin/sh -c "$($b cat /command)"
echo "ended: $?"
$b poweroff -f
`;

type Entry = { name: string; mode: number; octets: Uint8Array };

/** cpio's "new ASCII" form: a header of hexadecimal numbers, name and contents, each padded to 4 octets. */
function archive(entries: readonly Entry[]): Uint8Array {
  const parts = entries.map((entry, at) => member(entry, at + 1));
  return Buffer.concat([...parts, member({ name: "TRAILER!!!", mode: 0, octets: none }, 0)]);
}

function member({ name, mode, octets }: Entry, inode: number): Uint8Array {
  const links = mode === 0o040755 ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, octets.length, 0, 0, 0, 0, name.length + 1, 0];
  const numbers = fields.map((n) => n.toString(16).padStart(8, "0")).join("");
  return Buffer.concat([padded(utf8.encode(`070701${numbers}${name}\0`)), padded(octets)]);
}

const padded = (octets: Uint8Array): Uint8Array =>
  octets.length % 4 === 0
    ? octets
    : Buffer.concat([octets, new Uint8Array(4 - (octets.length % 4))]);

const none = new Uint8Array();
const utf8 = new TextEncoder();
