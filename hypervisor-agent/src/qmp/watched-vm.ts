import type { Clock } from "@nve/linux";
import {
  connectQmp,
  type Qmp,
  type QmpEvent,
  QmpGone,
  QmpRefused,
  queryMigrate,
  queryNics,
  queryStatus,
  setMigrationCapabilities,
} from "@nve/linux/qmp/index";
import { Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant, type Mac } from "@nve/protocol-spec";
import type { Stage } from "../stations/tree.ts";
import { type VnicDescription, vnicNameOf } from "../vms/description.ts";
import { type FileVnic, treeOf, type VmFile } from "../vms/file.ts";
import { stageOf, stepVm, type VmEvent, type VmState } from "./vm-state.ts";

export type WatchedVmOptions = {
  vm: string;
  /** Path of its QMP socket. */
  path: string;
  file: VmFile;
  /** What its VNICs were by an earlier file. */
  before: readonly VnicDescription[];
  clock: Clock;
  log: Log;
  /** How far the VM is here, each time that it is known anew or has changed; undefined: it is not here. */
  tell(vnics: readonly VnicDescription[], stage: Stage | undefined): void;
};

/** Between tries to reach a QEMU that is not there, or does not answer. */
const AGAIN_MS = 1000;
/** Between questions during a switch-over. */
const ASK_MS = 500;

/** One VM, by its QEMU's monitor, for as long as its file is there: QEMU may come and go. */
export class WatchedVm {
  readonly #options: WatchedVmOptions;
  #qmp: Qmp | undefined;
  #vnics: readonly VnicDescription[] = [];
  #state: VmState | undefined;
  #told: Stage | undefined;
  #isTold = false;
  /** What QEMU has said since it was connected is the whole of it. */
  #isKnown = false;
  #asking = false;
  /** Events so far. */
  #heard = 0;
  #said = "";
  #busy = false;
  #closed = false;
  #callOff: () => void = () => {};
  #callOffAsking: () => void = () => {};

  constructor(options: WatchedVmOptions) {
    this.#options = options;
    this.#vnics = options.before;
    void this.look();
  }

  /** Something may be there now. */
  async look(): Promise<void> {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    this.#callOff();
    try {
      await this.#follow();
    } finally {
      this.#busy = false;
      const { clock } = this.#options;
      if (!this.#closed) {
        this.#callOff = clock.at(Instant(clock.now() + AGAIN_MS), () => void this.look());
      }
    }
  }

  get vnics(): readonly VnicDescription[] {
    return this.#vnics;
  }

  /** Nothing is told any more; its VNICs stay as they are. */
  close(): void {
    this.#closed = true;
    this.#callOff();
    this.#callOffAsking();
    this.#qmp?.close();
  }

  /** As long as there is a QEMU that answers; one that hangs up at once is not asked again at once. */
  async #follow(): Promise<void> {
    const { clock } = this.#options;
    for (let since = Number.NEGATIVE_INFINITY; !this.#closed; ) {
      if (clock.now() - since < AGAIN_MS) return;
      since = clock.now();
      try {
        await this.#talk();
      } catch (error) {
        this.#failed(error);
        return;
      }
    }
  }

  async #talk(): Promise<void> {
    const { path, vm, log } = this.#options;
    this.#isKnown = false;
    const qmp = await connectQmp({ path, onEvent: (event) => this.#hear(event) });
    this.#qmp = qmp;
    try {
      if (this.#closed) return;
      await tellsMigrations(qmp);
      const vnics = await this.#describe(qmp);
      await this.#ask(qmp);
      this.#isKnown = true;
      this.#learn(vnics);
      this.#tell();
      this.#said = "";
      log.info({ vm, qemu: qmp.version, run: this.#state?.run }, "VM is watched");
      const reason = await qmp.ended;
      log.info({ vm, reason: reason?.message }, "QEMU's monitor has closed");
    } finally {
      this.#qmp = undefined;
      qmp.close();
    }
  }

  /** Nobody listens there: it is gone. One that does not answer may still run. */
  #failed(error: unknown): void {
    const { vm, log } = this.#options;
    const isGone = error instanceof QmpGone && GONE.has(error.code ?? "");
    if (isGone) this.#isGone();
    const reason = error instanceof Error ? error.message : String(error);
    if (reason === this.#said) return;
    this.#said = reason;
    if (isGone) log.debug({ vm, reason }, "no QEMU");
    else log.warn({ vm, reason }, "VM cannot be watched");
  }

  #isGone(): void {
    this.#state = undefined;
    if (this.#closed || this.#vnics.length === 0) return;
    this.#options.tell(this.#vnics, undefined);
    this.#vnics = [];
    this.#isTold = false;
    this.#callOffAsking();
  }

  #hear({ name, data }: QmpEvent): void {
    const { status } = data;
    this.#options.log.debug({ vm: this.#options.vm, event: name, data }, "QMP");
    this.#heard += 1;
    this.#feed({ on: "event", name, status: typeof status === "string" ? status : undefined });
  }

  #feed(event: VmEvent): void {
    const [state, ...actions] = stepVm(this.#state ?? NEW, event);
    this.#state = state;
    this.#tell();
    if (actions.length > 0) this.#askAgain();
  }

  #askAgain(): void {
    const qmp = this.#qmp;
    if (this.#isKnown && qmp !== undefined) this.#ask(qmp).catch(() => {}); // it has ended then
  }

  /** One question at a time. An answer that events have overtaken counts for nothing: it is asked anew. */
  async #ask(qmp: Qmp): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (let heard = -1; heard !== this.#heard; ) {
        heard = this.#heard;
        const [{ status: run }, { status: migration }] = await Promise.all([
          queryStatus(qmp),
          queryMigrate(qmp),
        ]);
        if (heard === this.#heard) this.#feed({ on: "status", run, migration });
      }
    } finally {
      this.#asking = false;
    }
  }

  #tell(): void {
    const stage = this.#state && stageOf(this.#state);
    if (!this.#isKnown || this.#closed) return;
    this.#askLater(stage);
    if (this.#isTold && stage === this.#told) return;
    this.#isTold = true;
    this.#told = stage;
    this.#options.tell(this.#vnics, stage);
  }

  /** A switch-over does not last: should its end be missed, it is asked for. */
  #askLater(stage: Stage | undefined): void {
    const { clock } = this.#options;
    this.#callOffAsking();
    if (stage !== "suspended") return;
    const at = Instant(clock.now() + ASK_MS);
    this.#callOffAsking = clock.at(at, () => {
      this.#askAgain();
      this.#askLater(stage);
    });
  }

  /** VNICs that it has no more are gone; of the others it is told anew how far they are. */
  #learn(vnics: readonly VnicDescription[]): void {
    const names = new Set(vnics.map(({ vnic }) => vnic));
    const gone = this.#vnics.filter(({ vnic }) => !names.has(vnic));
    if (gone.length > 0) this.#options.tell(gone, undefined);
    this.#vnics = vnics;
    this.#isTold = false;
  }

  async #describe(qmp: Qmp): Promise<VnicDescription[]> {
    const { vm, file } = this.#options;
    const asked = file.vnics.some(({ mac }) => mac === undefined);
    const nics = new Map(asked ? (await queryNics(qmp)).map((nic) => [nic.name, nic.mac]) : []);
    return file.vnics.map((one) => describe(vm, one, nics));
  }
}

const NEW: VmState = { is: "heard", run: "running", migration: "none" };
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ECONNREFUSED"]);

/** @param nics MACs by id of QEMU's device. @throws Refused */
function describe(
  vm: string,
  { vnic, interface: of, mac: said, nic = "", uplink, vns }: FileVnic,
  nics: ReadonlyMap<string, Mac>,
): VnicDescription {
  const mac = said ?? nics.get(nic);
  if (mac === undefined) {
    const known = [...nics.keys()].join(", ") || "none";
    throw new Refused(`QEMU tells no MAC of a device ${nic} (of: ${known}): write mac in its file`);
  }
  if (of === undefined) throw new Refused(`the interface of NIC ${mac} is missing in its file`);
  return {
    vnic: vnic ?? vnicNameOf(vm, mac),
    interface: of,
    ...(uplink !== undefined && { uplink }),
    tree: treeOf(vns, mac),
  };
}

/** While a migration is under way it cannot be set; then stops are asked about. */
async function tellsMigrations(qmp: Qmp): Promise<void> {
  try {
    await setMigrationCapabilities(qmp, { events: true });
  } catch (error) {
    if (!(error instanceof QmpRefused)) throw error;
  }
}
