import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { Refused } from "@nve/program";

/**
 * Looks at the two meta pages of an LMDB file before the library does, which maps the file and so dies of one that
 * is cut off or is something else (a restored backup, a full disk). Damage further in is not seen here.
 * @throws Refused
 */
export function checkLmdbFile(path: string): void {
  const file = join(path, "data.mdb");
  const [head, size] = headOf(file);
  if (size === 0) return; // none yet
  const first = metaOf(head, 0);
  const second = first && metaOf(head, first.pageSize);
  if (first === undefined || second === undefined)
    throw new Refused(`${file} is no store of this program, or damaged: ${remedy}`);
  const last = first.transaction > second.transaction ? first : second;
  if (BigInt(size) < (last.lastPage + 1n) * BigInt(last.pageSize))
    throw new Refused(`${file} is cut off: it has ${size} octets and should have more. ${remedy}`);
}

const remedy = "restore a backup of the folder, or begin with an empty one";

/** Of a meta page (lmdb.h, MDB_meta): a page header of 24 octets, then magic, …; little-endian. */
const at = { magic: 24, pageSize: 48, lastPage: 136, transaction: 144, end: 152 };
const magic = 0xbeefc0de;

function metaOf(head: Buffer, page: number) {
  if (head.length < page + at.end || head.readUInt32LE(page + at.magic) !== magic) return undefined;
  const pageSize = head.readUInt32LE(page + at.pageSize);
  const lastPage = head.readBigUInt64LE(page + at.lastPage);
  const transaction = head.readBigUInt64LE(page + at.transaction);
  return { pageSize, lastPage, transaction };
}

function headOf(file: string): [Buffer, number] {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      return [Buffer.alloc(0), 0];
    throw error;
  }
  try {
    const head = Buffer.alloc(128 * 1024); // pages have 64 KiB at most
    return [head.subarray(0, readSync(fd, head, 0, head.length, 0)), fstatSync(fd).size];
  } finally {
    closeSync(fd);
  }
}
