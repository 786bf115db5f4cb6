import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { isOnPath } from "@nve/lab/vm/qemu";
import { connectQmp, type Qmp } from "@nve/linux/qmp/index";
import { until } from "../lab.ts";

const QEMU = "qemu-system-x86_64";

/** Why no machine can be started here, in a sentence; undefined: one can. */
export const noMachine = (): string | undefined =>
  isOnPath(QEMU) ? undefined : "no QEMU: apt-get install qemu-system-x86";

export type MachineOptions = {
  name: string;
  namespace: string;
  mac: string;
  tap: string;
  /** Of a monitor for who is tested. */
  watched: string;
  /** For the test's own monitor. */
  folder: string;
  /** It waits for a VM that arrives. */
  incoming?: boolean;
  more?: readonly string[];
};

/** A machine that runs its firmware: QEMU, with a NIC on a tap of a namespace. */
export class Machine {
  readonly qmp: Qmp;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, qmp: Qmp) {
    this.#child = child;
    this.qmp = qmp;
  }

  static async start(options: MachineOptions): Promise<Machine> {
    const { name, namespace, mac, tap, watched, folder, incoming = false, more = [] } = options;
    const own = join(folder, `${name}-${Date.now()}.own`);
    const words = [
      ...["-accel", "tcg", "-machine", "q35", "-m", "32", "-nodefaults", "-display", "none"],
      ...["-netdev", `tap,id=n0,ifname=${tap},script=no,downscript=no`],
      ...["-device", `virtio-net-pci,id=nic0,netdev=n0,romfile=,mac=${mac}`],
      ...["-qmp", `unix:${own},server=on,wait=off`, "-qmp", `unix:${watched},server=on,wait=off`],
      ...(incoming ? ["-incoming", "defer"] : []),
      ...more,
    ];
    const child = spawn("ip", ["netns", "exec", namespace, QEMU, ...words], { stdio: "ignore" });
    try {
      const connect = () => connectQmp({ path: own }).catch(() => undefined);
      return new Machine(child, await until(`${name}'s monitor`, connect, 20_000));
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** As a crash. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Its VM goes to another, and runs there when this resolves. @param uri of a socket for both */
  async migrateTo(destination: Machine, uri: string): Promise<void> {
    await destination.qmp.execute("migrate-incoming", { uri });
    await this.qmp.execute("migrate", { uri });
    await this.whenMigration("completed");
  }

  async whenMigration(status: string): Promise<void> {
    await until(
      `the migration to be ${status}`,
      async () => {
        const info = (await this.qmp.execute("query-migrate")) as { status?: string };
        return info.status === status || undefined;
      },
      30_000,
    );
  }
}
