import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { guestKernel, QEMU } from "@nve/lab/vm/qemu";
import { initramfs } from "./initramfs.ts";
import { type Answer, errorOf, fromLine, lineReader, toLine } from "./lines.ts";
import { bundled } from "./program.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/**
 * Debian's kernel with this machine's files, in which one program of ours answers calls. It has no network but what
 * the program makes itself.
 */
export class Guest {
  readonly #machine: ChildProcess;
  readonly #channel: Socket;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #last = 0;

  private constructor(machine: ChildProcess, channel: Socket) {
    this.#machine = machine;
    this.#channel = channel;
    channel.on("error", () => {}); // it closes then
    channel.on("close", () => this.#lost());
  }

  /** @param program a module that calls `serve`, its path. Throws with the end of the console when it does not come up */
  static async boot(program: string): Promise<Guest> {
    const folder = mkdtempSync(join(tmpdir(), "nve-guest-"));
    const file = await bundled(program);
    const server = createServer();
    try {
      const command = `cd ${root} && exec ${process.execPath} ${file}`;
      writeFileSync(join(folder, "initramfs"), initramfs(guestKernel, command));
      await new Promise<void>((resolve) => server.listen(join(folder, "channel"), resolve));
      const machine = start(folder);
      const said = listen(machine);
      const channel = await connected(server, machine, said);
      return await ready(new Guest(machine, channel), channel, said);
    } finally {
      server.close();
      rmSync(file);
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Calls are answered in their order. */
  call<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, ({ value, error }) =>
        error === undefined ? resolve(value as T) : reject(errorOf(error)),
      );
      this.#channel.write(toLine({ id, call: name, args }));
    });
  }

  answered(answer: Answer): void {
    this.#asked.get(answer.id)?.(answer);
    this.#asked.delete(answer.id);
  }

  close(): void {
    this.#channel.destroy();
    this.#machine.kill();
  }

  #lost(): void {
    const error = { name: "Error", message: "the guest is gone", rest: {} };
    for (const [id, settle] of this.#asked) settle({ id, error });
    this.#asked.clear();
  }
}

function start(folder: string): ChildProcess {
  const machine = spawn(
    QEMU,
    [
      // Not KVM: a virtual machine in a virtual machine may not come up with a stock kernel, and need not be fast.
      ...[
        "-accel",
        "tcg,thread=multi",
        "-smp",
        "2",
        "-machine",
        "q35",
        "-cpu",
        "max",
        "-m",
        "1024",
      ],
      ...["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"],
      ...["-kernel", join(guestKernel, "vmlinuz"), "-initrd", join(folder, "initramfs")],
      // no_timer_check: on a busy host the timer is found late, and the kernel would give up
      ...["-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"],
      ...["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"],
      ...["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"],
      ...["-chardev", `socket,id=calls,path=${join(folder, "channel")}`],
      ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=calls"],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  process.once("exit", () => machine.kill("SIGKILL"));
  return machine;
}

/** What the machine has said, the end of it. With GUEST_CONSOLE=1 it is shown as it comes. */
function listen(machine: ChildProcess): () => string {
  let said = "";
  const hear = (piece: Buffer): void => {
    said = `${said}${piece}`.slice(-4000);
    if (process.env["GUEST_CONSOLE"] === "1") process.stderr.write(piece);
  };
  machine.stdout?.on("data", hear);
  machine.stderr?.on("data", hear);
  return () => said;
}

function connected(server: Server, machine: ChildProcess, said: () => string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    server.once("connection", resolve);
    machine.once("error", reject);
    machine.once("exit", () => reject(new Error(`the guest does not start:\n${said()}`)));
  });
}

/** Its program says so as its first line. */
function ready(guest: Guest, channel: Socket, said: () => string): Promise<Guest> {
  return new Promise((resolve, reject) => {
    channel.once("close", () => reject(new Error(`the guest ended:\n${said()}`)));
    channel.on(
      "data",
      lineReader((line) => {
        const answer = fromLine(line) as Answer;
        if (answer.id === 0) resolve(guest);
        else guest.answered(answer);
      }),
    );
  });
}
