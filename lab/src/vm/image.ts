import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { archive, file, folder, program, text } from "./cpio.ts";
import { guestKernel } from "./qemu.ts";

/** The guest prints this when it has its addresses and answers on them. */
export const READY = "guest is ready";
/** TCP port of the guest on which it says again what it is told (RFC 862). */
export const ECHO_PORT = 7;

const needed =
  /-(virtio(_ring|_pci|_pci_modern_dev|_pci_legacy_dev)?|failover|net_failover|virtio_net)\.ko$/;

/** The least that is a machine on a network: busybox, the driver of its NIC, and a TCP echo service. */
export function guestImage(): Uint8Array {
  const folderOfModules = join(guestKernel, "modules");
  const modules = readdirSync(folderOfModules)
    .filter((name) => needed.test(name))
    .sort();
  return archive([
    ...["bin", "mod", "proc", "sys", "dev"].map(folder),
    program("bin/busybox", readFileSync("/bin/busybox")),
    ...modules.map((name) => file(`mod/${name}`, readFileSync(join(folderOfModules, name)))),
    program("init", text(script)),
  ]);
}

/** What the guest is told in the kernel's command line. @param addresses with their lengths: `10.0.1.21/24` */
export const guestWords = (addresses: readonly string[]): string =>
  `nve.addresses=${addresses.join(",")}`;

const script = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in /mod/*; do $b insmod $m || echo "cannot load $m"; done
for word in $($b cat /proc/cmdline); do
  case $word in nve.addresses=*) addresses=\${word#*=} ;; esac
done
v6=/proc/sys/net/ipv6/conf/all
case $addresses in
  *:*) echo 0 > $v6/accept_dad ;;
  *) [ ! -d $v6 ] || echo 1 > $v6/disable_ipv6 ;;
esac
$b ip link set lo up
$b ip link set eth0 up
for address in $(echo $addresses | $b tr , ' '); do $b ip addr add $address dev eth0; done
echo "${READY}"
while :; do $b nc -ll -p ${ECHO_PORT} -e $b cat; $b sleep 1; done
`;
