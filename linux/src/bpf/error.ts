import koffi from "koffi";

/** A BPF operation that the kernel or libbpf refused. `errno` is a name like `EPERM`. */
export class BpfError extends Error {
  override readonly name = "BpfError";
  readonly operation: string;
  readonly errno: string;
  /** libbpf's last lines, the verifier's among them. */
  readonly log: readonly string[];
  /** The map that had no room, and how many entries it has. */
  full?: { map: string; size: number };

  constructor(
    operation: string,
    errno: string,
    log: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    super([`${operation}: ${errno}`, ...log].join("\n  "), options);
    this.operation = operation;
    this.errno = errno;
    this.log = log;
  }
}

const names = new Map(Object.entries(koffi.os.errno).map(([name, code]) => [code, name]));

/** `EPERM` of 1 or of -1. */
export function errnoName(code: number): string {
  return names.get(Math.abs(code)) ?? `errno ${Math.abs(code)}`;
}
