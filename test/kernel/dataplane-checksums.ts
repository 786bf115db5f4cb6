import koffi from "koffi";
import type { Namespace } from "./bpf-namespace.ts";

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int family, int type, int protocol)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const close = libc.func("int close(int fd)");

const SIOCETHTOOL = 0x8946;
const ETHTOOL_STXCSUM = 0x17;

/** From now on the kernel fills in checksums itself, where it would leave them to the NIC (`ethtool -K … tx off`). */
export function fillInChecksums(namespace: Namespace, name: string): void {
  const value = koffi.alloc("uint32_t", 2);
  new Uint32Array(koffi.view(value, 8)).set([ETHTOOL_STXCSUM, 0]);
  const request = new Uint8Array(40); // struct ifreq: the name, and where the value is
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setBigUint64(16, koffi.address(value), true);
  const code = namespace.inside(() => {
    const fd = socket(2, 2, 0);
    try {
      return ioctl(fd, SIOCETHTOOL, request);
    } finally {
      close(fd);
    }
  });
  koffi.free(value);
  if (code < 0) throw new Error(`${name}: checksums stay the NIC's, errno ${koffi.errno()}`);
}
