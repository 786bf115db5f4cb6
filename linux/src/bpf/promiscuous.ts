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
