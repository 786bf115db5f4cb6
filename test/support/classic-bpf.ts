/** A frame as a packet socket's filter sees it: the outer tag taken out, and beside it. */
export type Seen = { octets: Uint8Array; tag?: { tpid: number; tci: number }; packetType: number };

/** PACKET_HOST, _BROADCAST, _MULTICAST and _OTHERHOST of linux/if_packet.h. */
export function packetTypeOf(destination: string, ownMac: string): number {
  if (destination === ownMac) return 0;
  if (destination === "ff:ff:ff:ff:ff:ff") return 1;
  return (Number.parseInt(destination.slice(0, 2), 16) & 1) === 1 ? 2 : 3;
}

/** What Linux makes of a frame from the wire. */
export function seen(frame: Uint8Array, packetType: number): Seen {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const tpid = frame.length >= 18 ? view.getUint16(12) : 0;
  if (tpid !== 0x8100 && tpid !== 0x88a8) return { octets: frame, packetType };
  const octets = Uint8Array.from([...frame.subarray(0, 12), ...frame.subarray(16)]);
  return { octets, tag: { tpid, tci: view.getUint16(14) }, packetType };
}

/**
 * Runs `struct sock_filter[]` in host order (little endian here) as Documentation/networking/filter.rst has it, as far
 * as our programs go. @returns the octets that the program lets through; 0 for none
 */
export function runFilter(program: Uint8Array, { octets, tag, packetType }: Seen): number {
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const ancillary = new Map([
    [4, packetType],
    [44, tag?.tci ?? 0],
    [48, tag === undefined ? 0 : 1],
    [60, tag?.tpid ?? 0],
  ]);
  let a = 0;
  for (let at = 0; at < program.length; at += 8) {
    const [operation, yes, no] = [
      code.getUint16(at, true),
      code.getUint8(at + 2),
      code.getUint8(at + 3),
    ];
    const k = code.getUint32(at + 4, true);
    const jump = (holds: boolean): number => (holds ? yes : no) * 8;
    switch (operation) {
      case 0x20: {
        const beside = ancillary.get(k - 0xfffff000);
        if (beside === undefined && k + 4 > octets.length) return 0;
        a = beside ?? data.getUint32(k);
        break;
      }
      case 0x28:
        if (k + 2 > octets.length) return 0;
        a = data.getUint16(k);
        break;
      case 0x80:
        a = octets.length;
        break;
      case 0x15:
        at += jump(a === k);
        break;
      case 0x35:
        at += jump(a >= k);
        break;
      case 0x45:
        at += jump((a & k) !== 0);
        break;
      case 0x06:
        return k;
      default:
        throw new Error(`instruction ${operation.toString(16)} at ${at / 8}`);
    }
  }
  throw new Error("the program has no end");
}
