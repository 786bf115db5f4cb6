export type Entry = { name: string; mode: number; octets: Uint8Array };

export const folder = (name: string): Entry => ({ name, mode: FOLDER, octets: none });
export const program = (name: string, octets: Uint8Array): Entry => ({
  name,
  mode: 0o100755,
  octets,
});
export const file = (name: string, octets: Uint8Array): Entry => ({ name, mode: 0o100644, octets });
export const text = (words: string): Uint8Array => utf8.encode(words);

/**
 * An archive as a kernel takes it for an initramfs, cpio's "new ASCII" form: a header of hexadecimal numbers, name and
 * contents, each padded to 4 octets.
 */
export function archive(entries: readonly Entry[]): Uint8Array {
  const parts = entries.map((entry, at) => member(entry, at + 1));
  return Buffer.concat([...parts, member(file("TRAILER!!!", none), 0)]);
}

const FOLDER = 0o040755;
const none = new Uint8Array();
const utf8 = new TextEncoder();

function member({ name, mode, octets }: Entry, inode: number): Uint8Array {
  const links = mode === FOLDER ? 2 : 1;
  const isEnd = inode === 0;
  const fields = [
    inode,
    isEnd ? 0 : mode,
    0,
    0,
    links,
    0,
    octets.length,
    0,
    0,
    0,
    0,
    name.length + 1,
    0,
  ];
  const numbers = fields.map((n) => n.toString(16).padStart(8, "0")).join("");
  return Buffer.concat([padded(utf8.encode(`070701${numbers}${name}\0`)), padded(octets)]);
}

const padded = (octets: Uint8Array): Uint8Array =>
  octets.length % 4 === 0
    ? octets
    : Buffer.concat([octets, new Uint8Array(4 - (octets.length % 4))]);
