import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { checked } from "@nve/program/config";
import { InterfaceName } from "@nve/program/edge-config";
import { Refused } from "@nve/program/errors";
import { makeFolder } from "@nve/program/folder";
import type { NveId } from "@nve/protocol-spec";
import { z } from "zod";
import type { Binding } from "./binding.ts";
import { taggedVns } from "./config.ts";

/** Where bindings that came through the control API outlive the agent. */
export interface BindingStore {
  /** @throws Refused that says what is wrong with the file */
  load(): readonly Binding[];
  /** All of them, in place of what was there: whole or not at all. @throws Refused */
  save(bindings: readonly Binding[]): void;
}

const FILE = "bindings.json";
/** Of the whole file, octets: each change writes it anew, and everybody waits meanwhile. More was not written by us. */
const MAX_SIZE = 16 * 1024 * 1024;

const schema = z.strictObject({
  version: z.literal(1),
  nve: z.string(),
  ports: z
    .array(
      z.strictObject({ port: z.string().transform(checked(InterfaceName)), static: taggedVns }),
    )
    .refine(
      (ports) => new Set(ports.map(({ port }) => port)).size === ports.length,
      "a port is there twice",
    ),
});

/** A file in `folder`, which is made when there is something to keep. */
export function bindingFile(folder: string, nve: NveId): BindingStore {
  const path = join(folder, FILE);
  return {
    load: () => bindingsIn(path, nve),
    save: (bindings) => {
      try {
        const text = textOf(nve, bindings);
        checkSize(Buffer.byteLength(text));
        makeFolder(folder);
        replaceFile(path, text);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new Refused(`the binding cannot be kept: ${why}`, { cause });
      }
    },
  };
}

function bindingsIn(path: string, nve: NveId): readonly Binding[] {
  const text = textIn(path);
  if (text === undefined) return [];
  const mend = "mend the file, or move it away and bind anew";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Refused(`${path} is damaged: ${why}; ${mend}`, { cause });
  }
  const { success, data, error } = schema.safeParse(value);
  if (!success) {
    const [issue] = error.issues;
    const where = issue?.path.map(String).join(".");
    throw new Refused(`${path} is damaged: ${where}: ${issue?.message}; ${mend}`);
  }
  if (data.nve !== nve) {
    throw new Refused(`${path} is of NVE ${data.nve}, and this is ${nve}: name another stateDir`);
  }
  return data.ports.flatMap(({ port, static: vns }) => vns.map((vn) => ({ port, ...vn })));
}

function textIn(path: string): string | undefined {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error("it is no file");
    checkSize(stat.size);
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Refused(`cannot read the bindings: ${path}: ${why}`, { cause });
  }
}

function checkSize(octets: number): void {
  if (octets <= MAX_SIZE) return;
  throw new Error(`${octets} octets of bindings are too many, ${MAX_SIZE} are the most`);
}

function textOf(nve: NveId, bindings: readonly Binding[]): string {
  const ports = new Map<string, object[]>();
  for (const { port, tag, ...rest } of bindings) {
    const vns = ports.get(port) ?? [];
    vns.push({ ...rest, ...(tag !== 0 && { vlan: tag }) });
    ports.set(port, vns);
  }
  const all = [...ports].map(([port, vns]) => ({ port, static: vns }));
  return `${JSON.stringify({ version: 1, nve, ports: all }, undefined, 2)}\n`;
}

/** After a power cut there is the old file or the new one. */
function replaceFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  written(fresh, "w", (fd) => writeFileSync(fd, text));
  renameSync(fresh, path);
  written(dirname(path), "r", () => {});
}

function written(path: string, flags: "w" | "r", write: (fd: number) => void): void {
  const fd = openSync(path, flags, 0o600);
  try {
    write(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
