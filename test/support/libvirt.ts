import { type ChildProcess, execFile } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { isOnPath } from "@nve/lab/vm/qemu";
import { until } from "./lab.ts";

/** Why libvirt cannot be run here, in a sentence; undefined: it can. */
export function noLibvirt(): string | undefined {
  const missing = ["qemu-system-x86_64", "libvirtd", "virsh"].filter((name) => !isOnPath(name));
  if (missing.length === 0) return undefined;
  return `no ${missing.join(", ")}: apt-get install qemu-system-x86 libvirt-daemon-system`;
}

/** Of the files that libvirtd has in fixed places, each node's own. */
const PLACES = ["etc/libvirt", "var/lib/libvirt", "var/cache/libvirt", "var/log/libvirt"];

const run = promisify(execFile);

/** A libvirtd in a node of a lab, with nothing of the machine's libvirt. */
export class Libvirt {
  readonly socket: string;
  readonly #daemon: ChildProcess;
  #said = "";

  private constructor(daemon: ChildProcess, socket: string) {
    this.#daemon = daemon;
    this.socket = socket;
    daemon.stderr?.on("data", (piece) => {
      this.#said = `${this.#said}${piece}`.slice(-4000);
    });
  }

  /**
   * @param folder of its own
   * @param number of the node, so that its UUID differs
   * @param hook the script of the qemu hook
   */
  static async start(
    lab: string,
    node: string,
    folder: string,
    number: number,
    hook: string,
  ): Promise<Libvirt> {
    const socket = join(folder, "run/libvirt-sock");
    for (const place of [...PLACES, "etc/libvirt/hooks", "run"]) {
      mkdirSync(join(folder, place), { recursive: true });
    }
    const uuid = `4dea22b3-1d52-d8f3-2516-78209ab1c09${number}`;
    const config = ['auth_unix_ro="none"', 'auth_unix_rw="none"', `host_uuid="${uuid}"`];
    writeFileSync(
      join(folder, "libvirtd.conf"),
      config.concat(`unix_sock_dir="${folder}/run"`).join("\n"),
    );
    writeFileSync(join(folder, "etc/libvirt/qemu.conf"), QEMU_CONF);
    const script = join(folder, "etc/libvirt/hooks/qemu");
    writeFileSync(script, hook);
    chmodSync(script, 0o755);
    const binds = PLACES.map((place) => `mount --bind ${join(folder, place)} /${place}`);
    const shell = [...binds, `exec libvirtd --config ${join(folder, "libvirtd.conf")}`].join(
      " && ",
    );
    const words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell];
    const inside = nodeState(lab, node);
    const daemon = spawnIn(inside, words, { stdio: ["ignore", "ignore", "pipe"] });
    const libvirt = new Libvirt(daemon, socket);
    await until(
      `libvirtd on ${node}`,
      () =>
        libvirt.virsh("version").then(
          () => true,
          () => undefined,
        ),
      30_000,
    ).catch((error: Error) => {
      libvirt.close();
      throw new Error(`${error.message}: ${libvirt.#said}`);
    });
    return libvirt;
  }

  get uri(): string {
    return `qemu+unix:///system?socket=${this.socket}`;
  }

  async virsh(...words: string[]): Promise<string> {
    const { stdout } = await run("virsh", ["-c", this.uri, ...words]);
    return stdout;
  }

  close(): void {
    this.#daemon.kill("SIGTERM");
  }
}

const QEMU_CONF = `
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
`;
