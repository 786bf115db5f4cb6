import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { archive, file, folder, program, text } from "@nve/lab/vm/cpio";

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
    ...folders.map(folder),
    program("bin/busybox", readFileSync("/bin/busybox")),
    ...modules.map((name) => file(`mod/${name}`, readFileSync(join(kernel, "modules", name)))),
    program("init", text(script)),
    file("command", text(command)),
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
