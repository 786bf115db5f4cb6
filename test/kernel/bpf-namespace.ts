import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { concat, uint } from "@nve/protocol-spec";
import koffi from "koffi";

/** Compiles the BPF programs that are not up to date. */
export function buildBpf(): void {
  const script = fileURLToPath(new URL("../../scripts/bpf.mjs", import.meta.url));
  execFileSync(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit"] });
}

/** TCX came with Linux 6.6; on older kernels what needs it is skipped. */
export const hasTcx = ((): boolean => {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 6);
})();

/**
 * A network namespace for one test file. The file's process (vitest forks one per file) enters it on its main
 * thread, where every socket, BPF call and child process is made.
 */
export class Namespace {
  readonly name: string;

  constructor(what: string) {
    this.name = `bpft-${process.pid}-${what}`;
    execFileSync("ip", ["netns", "add", this.name]);
    process.once("exit", () => this.delete());
    try {
      // No router solicitations and the like among the frames that are counted.
      this.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
      this.ip("link set lo up");
    } catch (error) {
      this.delete(); // nobody else knows of it yet
      throw error;
    }
  }

  /** A kernel setting of this namespace. Not with the program sysctl, which is not everywhere. */
  sysctl(name: string, value: number): void {
    this.run("sh", "-c", `echo ${value} >/proc/sys/${name.replaceAll(".", "/")}`);
  }

  /** Lines of `ip -batch`. */
  ip(...lines: string[]): void {
    const input = `${lines.join("\n")}\n`;
    execFileSync("ip", ["-n", this.name, "-batch", "-"], {
      input,
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  run(command: string, ...args: string[]): string {
    return execFileSync("ip", ["netns", "exec", this.name, command, ...args], { encoding: "utf8" });
  }

  /** For good: the main thread stays there. */
  enter(): void {
    setNamespace(`/run/netns/${this.name}`);
  }

  /** Runs `act`, which must not wait, in the namespace. */
  inside<T>(act: () => T): T {
    const back = openSync("/proc/thread-self/ns/net", "r");
    try {
      this.enter();
      return act();
    } finally {
      setns(back, CLONE_NEWNET);
      closeSync(back);
    }
  }

  delete(): void {
    try {
      execFileSync("ip", ["netns", "del", this.name], { stdio: "ignore" });
    } catch {
      // gone already
    }
  }
}

/** This process as nobody, who can still read files of this clone, wherever it is. @returns what undoes it */
export function withoutRights(): () => void {
  process.seteuid?.(65534);
  setfsuid(0);
  return () => process.seteuid?.(0);
}

const CLONE_NEWNET = 0x40000000;
const setfsuid = koffi.load("libc.so.6").func("int setfsuid(unsigned int uid)");
const setns = koffi.load("libc.so.6").func("int setns(int fd, int type)");

function setNamespace(path: string): void {
  const fd = openSync(path, "r");
  const code = setns(fd, CLONE_NEWNET);
  closeSync(fd);
  if (code !== 0) throw new Error(`cannot enter ${path}: errno ${koffi.errno()}`);
}

/** A packet socket on one interface: whole frames out, and in with their tag put back; never its own. */
export class Raw {
  readonly #fd: number;
  readonly #frames: Uint8Array[] = [];

  constructor(namespace: Namespace, name: string) {
    this.#fd = namespace.inside(() => {
      const address = concat(
        Uint8Array.of(17, 0, 0, 3),
        hostUint(ifindex(name)),
        new Uint8Array(12),
      );
      const fd = check(socket(17, 3 | NONBLOCK, 0));
      check(setsockopt(fd, 1, 33, hostUint(1 << 24), 4)); // SO_RCVBUFFORCE
      check(setsockopt(fd, PACKET, AUXDATA, hostUint(1), 4));
      check(setsockopt(fd, PACKET, 23, hostUint(1), 4)); // PACKET_IGNORE_OUTGOING
      check(bind(fd, address, address.length));
      return fd;
    });
  }

  send(frame: Uint8Array): void {
    check(send(this.#fd, frame, frame.length, 0));
  }

  /** Waits for a frame that is `wanted`; gives all that came before it and forgets them. */
  async until(wanted: (frame: Uint8Array) => boolean): Promise<Uint8Array[]> {
    const late = Date.now() + 5000;
    for (;;) {
      for (let frame = receive(this.#fd); frame; frame = receive(this.#fd))
        this.#frames.push(frame);
      const at = this.#frames.findIndex(wanted);
      if (at >= 0) return this.#frames.splice(0, at + 1).slice(0, -1);
      if (Date.now() > late) throw new Error("the frame that ends the test did not come in 5 s");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  close(): void {
    close(this.#fd);
  }
}

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int family, int type, int protocol)");
const setsockopt = libc.func(
  "int setsockopt(int fd, int level, int name, const void *value, int size)",
);
const bind = libc.func("int bind(int fd, const void *address, int size)");
const send = libc.func("long send(int fd, const void *frame, size_t size, int flags)");
const recvmsg = libc.func("long recvmsg(int fd, void *message, int flags)");
const close = libc.func("int close(int fd)");
const ifindex = libc.func("unsigned int if_nametoindex(const char *name)");

const NONBLOCK = 0o4000;
const PACKET = 263;
const AUXDATA = 8;
const VLAN_VALID = 0x10;

function hostUint(n: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(n).buffer);
}

function check(code: number): number {
  if (code < 0) throw new Error(`packet socket: errno ${koffi.errno()}`);
  return code;
}

/** struct msghdr with one struct iovec, and room for struct tpacket_auxdata. */
const data = memory(65536);
const control = memory(64);
const vector = memory(16);
const message = memory(56);
vector.view.setBigUint64(0, data.at, true);
vector.view.setBigUint64(8, 65536n, true);
message.view.setBigUint64(16, vector.at, true);
message.view.setBigUint64(24, 1n, true);
message.view.setBigUint64(32, control.at, true);

function memory(size: number): { at: bigint; view: DataView } {
  const at: bigint = koffi.alloc("uint8_t", size);
  return { at, view: new DataView(koffi.view(at, size)) };
}

function receive(fd: number): Uint8Array | undefined {
  message.view.setBigUint64(40, 64n, true);
  const length: number = recvmsg(fd, message.at, 0);
  if (length < 0) return undefined;
  const frame = new Uint8Array(data.view.buffer.slice(0, length));
  const { view } = control;
  const told = view.getUint32(8, true) === PACKET && view.getUint32(12, true) === AUXDATA;
  if (!told || (view.getUint32(16, true) & VLAN_VALID) === 0) return frame;
  const tag = concat(uint(2, view.getUint16(34, true)), uint(2, view.getUint16(32, true)));
  return concat(frame.subarray(0, 12), tag, frame.subarray(12));
}
