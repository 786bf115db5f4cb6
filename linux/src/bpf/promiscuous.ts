import { interfaceName } from "./attach.ts";
import { BpfError, errnoName } from "./error.ts";
import { libbpf } from "./libbpf.ts";

/**
 * Makes an interface take in frames to any address, as a switch port must, until `close` or the end of the
 * process (packet(7), PACKET_MR_PROMISC).
 * @throws BpfError, ENODEV when there is no such interface, EPERM without CAP_NET_RAW
 */
export function promiscuous(ifindex: number): { close(): void } {
  const [afPacket, sockRaw, cloexec, noProtocol] = [17, 3, 0o2000000, 0];
  const { socket, setOption, closeFd, lastErrno } = libbpf();
  const fd = socket(afPacket, sockRaw | cloexec, noProtocol);
  if (fd < 0) throw new BpfError("open a packet socket", errnoName(lastErrno()));
  const [solPacket, addMembership, promisc] = [263, 1, 1];
  const membership = new Uint8Array(16); // struct packet_mreq: ifindex, type, address
  new Int32Array(membership.buffer, 0, 1)[0] = ifindex;
  new Uint16Array(membership.buffer, 4, 1)[0] = promisc;
  if (setOption(fd, solPacket, addMembership, membership, membership.length) < 0) {
    const errno = errnoName(lastErrno());
    closeFd(fd);
    throw new BpfError(`make interface ${ifindex} promiscuous`, errno);
  }
  let open = true;
  return {
    close: () => {
      if (open) closeFd(fd);
      open = false;
    },
  };
}

/** Which interfaces are kept promiscuous, and whether that is our doing: others may have wanted it before us. */
export type PromiscuousBook = {
  /** undefined: it is not in it. */
  isOurs(ifindex: number): boolean | undefined;
  set(ifindex: number, isOurs: boolean): void;
  delete(ifindex: number): void;
};

/**
 * The same by the interface's own flag (IFF_PROMISC), which outlives the process, until `close`. Where somebody had
 * set it before it stays then.
 * @throws BpfError, ENODEV when there is no such interface, EPERM without CAP_NET_ADMIN
 */
export function lastingPromiscuous(ifindex: number, book: PromiscuousBook): { close(): void } {
  const isOurs = book.isOurs(ifindex) ?? !isPromiscuous(ifindex);
  book.set(ifindex, isOurs); // first: what is written and was not done can be undone, not the other way round
  setPromiscuous(ifindex, true);
  return {
    close: () => {
      if (isOurs && interfaceName(ifindex) !== undefined) setPromiscuous(ifindex, false);
      book.delete(ifindex);
    },
  };
}

const IFF_PROMISC = 0x100;
const [SIOCGIFFLAGS, SIOCSIFFLAGS] = [0x8913, 0x8914];

const isPromiscuous = (ifindex: number): boolean =>
  withFlags(ifindex, (flags) => (flags() & IFF_PROMISC) !== 0);

export function setPromiscuous(ifindex: number, on: boolean): void {
  withFlags(ifindex, (flags, set) => set(on ? flags() | IFF_PROMISC : flags() & ~IFF_PROMISC));
}

/** netdevice(7): struct ifreq is the name in 16 octets, then the flags in two. */
function withFlags<T>(
  ifindex: number,
  act: (get: () => number, set: (flags: number) => void) => T,
): T {
  const name = interfaceName(ifindex);
  if (name === undefined) throw new BpfError(`flags of interface ${ifindex}`, "ENODEV");
  const { socket, interfaceFlags, closeFd, lastErrno } = libbpf();
  const [afInet, datagramCloexec] = [2, 2 | 0o2000000];
  const fd = socket(afInet, datagramCloexec, 0);
  if (fd < 0) throw new BpfError("open a socket", errnoName(lastErrno()));
  const request = new Uint8Array(40);
  request.set(Buffer.from(name));
  const flags = new Uint16Array(request.buffer, 16, 1);
  const ask = (what: number): void => {
    if (interfaceFlags(fd, what, request) >= 0) return;
    throw new BpfError(`flags of interface ${name}`, errnoName(lastErrno()));
  };
  try {
    return act(
      () => {
        ask(SIOCGIFFLAGS);
        return flags[0] ?? 0;
      },
      (value) => {
        flags[0] = value;
        ask(SIOCSIFFLAGS);
      },
    );
  } finally {
    closeFd(fd);
  }
}
