import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./lab.ts";

/** What of Open vSwitch is run, all in Debian's package openvswitch-switch. */
export const ovsPrograms = ["ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl"];

const schema = "/usr/share/openvswitch/vswitch.ovsschema";

/**
 * Open vSwitch in a namespace, its files in a temporary folder. Bridges are to have `datapath_type=netdev`: that is
 * in userspace and needs no kernel module.
 */
export class OpenVswitch {
  readonly #namespace: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "ovs-"));
  readonly #env: NodeJS.ProcessEnv;
  readonly #daemons: ChildProcess[] = [];

  private constructor(namespace: string) {
    this.#namespace = namespace;
    const folder = this.#folder;
    this.#env = { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder };
    process.once("exit", this.#abandon);
  }

  /** @throws when its daemons do not answer within 10 s; nothing is left of it then */
  static async start(namespace: string): Promise<OpenVswitch> {
    const ovs = new OpenVswitch(namespace);
    try {
      await ovs.#start();
      return ovs;
    } catch (error) {
      await ovs.stop();
      throw error;
    }
  }

  /** `ovs-vsctl`: resolves when the switch has it, too. */
  vsctl(...words: string[]): string {
    return this.#run("ovs-vsctl", `--db=${this.#database}`, "--timeout=10", ...words);
  }

  /** `ovs-appctl`, to the switch. */
  appctl(...words: string[]): string {
    return this.#run("ovs-appctl", "-t", join(this.#folder, "vswitchd.ctl"), ...words);
  }

  async stop(): Promise<void> {
    process.off("exit", this.#abandon);
    const running = this.#daemons.filter((one) => one.exitCode === null && one.signalCode === null);
    const gone = running.map((one) => once(one, "exit"));
    this.#abandon();
    await Promise.all(gone);
    rmSync(this.#folder, { recursive: true, force: true }); // what they wrote until then
  }

  get #database(): string {
    return `unix:${join(this.#folder, "db.sock")}`;
  }

  async #start(): Promise<void> {
    const path = (name: string): string => join(this.#folder, name);
    this.#run("ovsdb-tool", "create", path("conf.db"), schema);
    const own = (name: string) => [`--unixctl=${path(`${name}.ctl`)}`, "-vconsole:off"];
    this.#spawn("ovsdb-server", `--remote=p${this.#database}`, ...own("db"), path("conf.db"));
    await this.#answers("ovsdb-server", () => this.vsctl("--no-wait", "init"));
    this.#spawn("ovs-vswitchd", this.#database, ...own("vswitchd"));
    await this.#answers("ovs-vswitchd", () => this.appctl("version"));
  }

  #answers(what: string, ask: () => void): Promise<true> {
    const asked = (): true | undefined => {
      try {
        ask();
        return true;
      } catch {
        return undefined;
      }
    };
    return until(`${what} to answer`, asked, 10_000);
  }

  /** Ends with us, even where we are killed. */
  #spawn(...words: string[]): void {
    const within = ["netns", "exec", this.#namespace, "setpriv", "--pdeathsig", "KILL"];
    const options = { env: this.#env, stdio: "ignore" } as const;
    this.#daemons.push(spawn("ip", [...within, ...words], options));
  }

  #run(command: string, ...words: string[]): string {
    return execFileSync(command, words, { env: this.#env, encoding: "utf8", stdio: "pipe" });
  }

  readonly #abandon = (): void => {
    for (const daemon of this.#daemons) daemon.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  };
}
