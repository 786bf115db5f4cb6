import { OutOfRange } from "@nve/protocol-spec/errors";

/** Where a server is: `unix:<path>`, or `host:port` with a port in 1..65535; an IPv6 host in brackets. @throws OutOfRange */
export function serverAddress(text: string): string {
  if (/^unix:./.test(text)) return text;
  const port = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/.exec(text)?.[1];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return text;
  throw new OutOfRange(
    "It is neither unix:<path> nor host:port, as nva.example:7470 or [fd00::1]:7470.",
  );
}
