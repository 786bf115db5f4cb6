import type { Agent, AttachRequest, VnicView } from "@nve/hypervisor-agent/agent";
import { changed } from "@nve/hypervisor-agent/agent";
import { DomainFollower } from "@nve/hypervisor-agent/libvirt/follower";
import type { Stage, Tree } from "@nve/hypervisor-agent/stations/tree";
import { stageOf } from "@nve/hypervisor-agent/stations/tree";
import type { VnicDescription } from "@nve/hypervisor-agent/vms/description";
import { driven } from "@nve/hypervisor-agent/vms/driven";
import { VnicKeeper } from "@nve/hypervisor-agent/vms/keeper";
import { NotFound, Refused } from "@nve/program/errors";
import { createLog } from "@nve/program/log";
import { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import { beforeEach, describe, expect, test } from "vitest";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";

const VNIC = Uuid("5a0b8c1e-0000-4000-8000-0000000000c1");
const tree = (...ips: string[]): Tree => [
  { vn: VnId(7), macs: [{ mac: Mac("02:00:00:00:00:01"), ips: ips.map(IpPrefix) }] },
];
const vnic = (...ips: string[]): VnicDescription => ({
  vnic: VNIC,
  interface: "tap0",
  tree: tree(...ips),
});
const log = createLog("test", "silent");

/** What an agent is asked, and does at once; `refuse` holds why it does not. */
class FakeAgent implements Agent {
  readonly asked: string[] = [];
  refuse = "";
  /** While it is set, an attach waits for it. */
  hold: Promise<void> | undefined;
  readonly #vnics = new Map<Uuid, VnicView>();

  async attach(request: AttachRequest, limit: { cancelled?: AbortSignal }): Promise<VnicView> {
    this.asked.push(`attach ${stageOf(request.tree)}`);
    await this.hold;
    if (limit.cancelled?.aborted) throw new Refused("nobody waits for it any more");
    if (this.refuse !== "") throw new Refused(this.refuse);
    return this.#keep({ vnic: request.vnic ?? VNIC, ...request });
  }

  async change({ vnic: name, add, remove }: Parameters<Agent["change"]>[0]): Promise<VnicView> {
    this.asked.push(`change ${stageOf(add)}${remove.map(({ ip }) => ` -${ip}`).join("")}`);
    if (this.refuse !== "") throw new Refused(this.refuse);
    const now = this.#vnics.get(name);
    if (now === undefined) throw new NotFound("no such VNIC");
    return this.#keep({ ...now, tree: changed({ name, wanted: now.tree }, add, remove) });
  }

  async detach(name: Uuid): Promise<void> {
    this.asked.push("detach");
    this.#vnics.delete(name);
  }

  vnics = (): VnicView[] => [...this.#vnics.values()];
  stop = async (): Promise<void> => {};

  #keep(some: Pick<VnicView, "vnic" | "interface" | "tree"> & { vm?: string | undefined }) {
    const view: VnicView = {
      ...{ pinned: undefined, over: new Map(), state: "associated", reason: undefined },
      ...{ tagged: [], mtus: new Map() },
      vm: undefined,
      ...some,
    };
    this.#vnics.set(view.vnic, view);
    return view;
  }
}

let agent: FakeAgent;
let clock: FakeClock;
let exists = true;
let appears: () => void = () => {};
const keeper = (stagesOnly = false) =>
  new VnicKeeper({
    ...{ agent: driven(agent), by: "qmp", clock, log, stagesOnly },
    interfaces: {
      interfaceExists: () => exists,
      watch: (_, changed) => {
        appears = changed;
        return () => {};
      },
    },
  });
/** Until all that can be done without time has been done. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const stage = (): Stage | undefined => {
  const [one] = agent.vnics();
  return one && stageOf(one.tree);
};

beforeEach(() => {
  agent = new FakeAgent();
  clock = fakeClock();
  exists = true;
});

describe("a VNIC follows its VM", () => {
  test("prepared, active, suspended, gone: each once, in this order", async () => {
    const keep = keeper();
    for (const wish of ["prepared", "active", "active", "suspended", undefined] as const) {
      keep.want("vm1", vnic(), wish);
      await settled();
    }
    expect(agent.asked).toEqual(["attach prepared", "change active", "change suspended", "detach"]);
  });

  test("what comes while a step is under way waits for it, and only the latest counts", async () => {
    let release = (): void => {};
    agent.hold = new Promise((resolve) => {
      release = resolve;
    });
    const keep = keeper();
    keep.want("vm1", vnic(), "prepared");
    await settled();
    keep.want("vm1", vnic(), "suspended");
    keep.want("vm1", vnic(), "active");
    release();
    await settled();
    expect(agent.asked).toEqual(["attach prepared", "change active"]);
  });

  test("one that goes while it is being connected is not waited for", async () => {
    let release = (): void => {};
    agent.hold = new Promise((resolve) => {
      release = resolve;
    });
    const keep = keeper();
    keep.want("vm1", vnic(), "active");
    await settled();
    keep.want("vm1", vnic(), undefined);
    release();
    await settled();
    expect(agent.vnics()).toEqual([]);
  });

  test("what is refused is tried again, later each time, until it is done", async () => {
    agent.refuse = "the NVE is away";
    const keep = keeper();
    keep.want("vm1", vnic(), "active");
    await settled();
    for (const ms of [500, 1000, 2000]) {
      clock.advance(ms - 1);
      await settled();
      const before = agent.asked.length;
      clock.advance(1);
      await settled();
      expect(agent.asked.length).toBe(before + 1);
    }
    agent.refuse = "";
    clock.advance(4000);
    await settled();
    expect(stage()).toBe("active");
  });

  test("an interface that is not there yet is waited for", async () => {
    exists = false;
    const keep = keeper();
    keep.want("vm1", vnic(), "active");
    await settled();
    expect(agent.asked).toEqual([]);
    exists = true;
    appears();
    await settled();
    expect(stage()).toBe("active");
  });

  test("on another interface it is connected anew", async () => {
    const keep = keeper();
    keep.want("vm1", vnic(), "active");
    await settled();
    keep.want("vm1", { ...vnic(), interface: "tap1" }, "active");
    await settled();
    expect(agent.asked).toEqual(["attach active", "detach", "attach active"]);
    expect(agent.vnics()[0]?.interface).toBe("tap1");
  });

  test("described otherwise, only the difference is said; what was added by hand stays", async () => {
    const keep = keeper();
    keep.want("vm1", vnic("10.0.0.1", "10.0.0.2"), "active");
    await settled();
    await agent.change({ vnic: VNIC, add: tree("10.0.0.9"), remove: [] });
    keep.want("vm1", vnic("10.0.0.2", "10.0.0.3"), "active");
    await settled();
    expect(agent.asked.at(-1)).toBe("change active -10.0.0.1");
    expect(agent.vnics()[0]?.tree[0]?.macs[0]?.ips).toEqual(["10.0.0.2", "10.0.0.9", "10.0.0.3"]);
  });

  test("closed, it begins nothing any more", async () => {
    agent.refuse = "no";
    const keep = keeper();
    keep.want("vm1", vnic(), "active");
    await settled();
    keep.close();
    clock.advance(60_000);
    await settled();
    expect(agent.asked).toEqual(["attach active"]);
  });
});

describe("libvirt's domains", () => {
  const running = new Set<string>();
  const domains = {
    running: async () => [...running],
    isRunning: async (name: string) => running.has(name),
    xml: async (name: string) =>
      `<domain><name>${name}</name><uuid>${VNIC}</uuid><metadata><v:vnics xmlns:v="urn:split-nve:vnics:1"><v:vnic mac="02:00:00:00:00:01"><v:vn id="7"/></v:vnic></v:vnics></metadata><devices><interface><mac address="02:00:00:00:00:01"/><target dev="vnet3"/></interface></devices></domain>`,
  };
  function follower() {
    running.clear();
    const known = driven(agent);
    const made = (stagesOnly: boolean) =>
      new VnicKeeper({
        ...{ agent: known, by: "libvirt", clock, log, stagesOnly },
        interfaces: { interfaceExists: () => true, watch: () => () => {} },
      });
    const [staged, adopted] = [made(true), made(false)];
    const follows = new DomainFollower({
      ...{ agent: known, domains, vms: "/nowhere", clock, log },
      keep: (...wish) => staged.want(...wish),
      adopt: (...wish) => adopted.want(...wish),
    });
    const attach = (by: "libvirt" | "api", as: Stage) =>
      known.attach(
        { ...vnic(), vm: "vm1", by, tree: tree().map((node) => ({ ...node, stage: as })) },
        { timeoutMs: 1 },
      );
    return { follows, attach, known };
  }
  const event = (name: string, detail: string) => ({ domain: "vm1", event: name, detail });

  test("what the hook has prepared is active when the domain runs", async () => {
    const { follows, attach } = follower();
    await attach("libvirt", "prepared");
    follows.hear(event("Started", "Migrated"));
    await settled();
    expect(stage()).toBe("prepared");
    follows.hear(event("Resumed", "Migrated"));
    await settled();
    expect(stage()).toBe("active");
  });

  test("an event that was lost is made up for by asking", async () => {
    const { attach } = follower();
    await attach("libvirt", "prepared");
    clock.advance(2000);
    await settled();
    expect(stage()).toBe("prepared");
    running.add("vm1");
    clock.advance(2000);
    await settled();
    expect(stage()).toBe("active");
  });

  test("others' VNICs, and those that its hook has taken away, are left alone", async () => {
    const { follows, attach } = follower();
    await attach("api", "prepared");
    follows.hear(event("Resumed", "Migrated"));
    await settled();
    expect(stage()).toBe("prepared");
    await agent.detach(VNIC);
    follows.hear(event("Resumed", "Migrated"));
    await settled();
    expect(agent.vnics()).toEqual([]);
  });

  test("domains that run and have no VNIC here get theirs: the agent was started anew", async () => {
    const { follows, known } = follower();
    running.add("vm1");
    await follows.adopt();
    await settled();
    const [one] = agent.vnics();
    expect(one).toMatchObject({ interface: "vnet3", vm: "vm1", tree: [{ vn: 7 }] });
    expect(one && known.driverOf(one.vnic)).toBe("libvirt");
  });
});
