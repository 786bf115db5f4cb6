import { randomUUID } from "node:crypto";
import { type Clock, drive } from "@nve/linux";
import { NotFound, Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant, Uuid, type Vid, type VnId } from "@nve/protocol-spec";
import { binder } from "./binder.ts";
import { minus, type NodePath, plus, type Tree, type VnRef } from "./stations/tree.ts";
import { mtuWarning, notReady, type VnicState } from "./stations/vnic.ts";
import type { TaggedLeaf } from "./stations/vsi.ts";
import type { Uplink } from "./uplink.ts";
import { allBindings, type Env, keyOf, type Nic, partsOf, viewOf } from "./uplinks/nic.ts";
import { emptyRoster, stepRoster } from "./uplinks/roster.ts";
import {
  type FromBook,
  type Roster,
  type RosterAction,
  type RosterEvent,
  targetOf,
} from "./uplinks/work.ts";
import type { VirtualSwitch } from "./vm-port/vm-port.ts";
import type { Driver } from "./vms/driven.ts";

/** What the operator can do, whoever carries it: the control socket, a test, libvirt's hook, QMP, later CNI. */
export interface Agent {
  /**
   * Connects a VNIC (H1): resolves when the NVE has granted it and the virtual switch is programmed.
   * @throws Refused with the reason, for good or when time is up; the VNIC is then forgotten
   */
  attach(request: AttachRequest, limit: Limit): Promise<VnicView>;
  /** Adds to and takes from what a VNIC contains, all or nothing (H6, H7). @throws Refused, NotFound */
  change(request: ChangeRequest, limit: Limit): Promise<VnicView>;
  /** Resolves when the NVE has confirmed, or did not within the VDP timers (H2, H19). @throws Refused, NotFound */
  detach(vnic: Uuid): Promise<void>;
  vnics(): readonly VnicView[];
  /** De-Associate for all VNICs; resolves when all are gone, after `limitMs` at the latest. */
  stop(limitMs: number): Promise<void>;
}

/** `vm`: name of the VM, for people. `uplink`: the only one to be used; absent: its VNs are spread over all. */
export type AttachRequest = {
  vnic?: Uuid;
  interface: string;
  vm?: string;
  uplink?: string;
  /** Absent: who calls the API. */
  by?: Driver;
  tree: Tree;
};
export type ChangeRequest = { vnic: Uuid; add: Tree; remove: readonly NodePath[] };
/** `cancelled` aborts when nobody waits for the outcome any more. */
export type Limit = { timeoutMs: number; cancelled?: AbortSignal };

export type VnicView = {
  vnic: Uuid;
  interface: string;
  /** The only one that it may use. */
  pinned: string | undefined;
  /** Over which uplink its VNs go now; a VN that is not connected is not there. */
  over: ReadonlyMap<VnRef, string>;
  state: VnicState;
  reason: string | undefined;
  vm: string | undefined;
  tree: Tree;
  /** 0: untagged, where no tag is lent. */
  tagged: readonly (Omit<TaggedLeaf, "vid"> & { vid: Vid | 0 })[];
  /** Octets, of the VNs that are granted, as far as the NVE told. */
  mtus: ReadonlyMap<VnId, number>;
};

export type AgentOptions = {
  clock: Clock;
  virtualSwitch: Pick<VirtualSwitch, "bind">;
  interfaceExists(name: string): boolean;
  /** Octets; undefined for an interface that is not there. */
  mtuOf(name: string): number | undefined;
  log: Log;
  /** Names, at least one. */
  uplinks: readonly string[];
  /** How long an uplink is well before its VNs come back, milliseconds; Infinity: never. */
  failbackMs: number;
  /** Is given what the uplink's book decides; opens the uplink. */
  openUplink(name: string, perform: (action: FromBook) => void): Uplink;
};

/** How long until bindings that the virtual switch did not take are tried again. */
const BIND_RETRY_MS = 1000;

export function startAgent(options: AgentOptions): {
  agent: Agent;
  uplinks: readonly Uplink[];
} {
  const { clock, virtualSwitch, interfaceExists, log } = options;
  const bind = binder(virtualSwitch);
  const waiting = new Map<number, { done(): void; failed(reason: string): void }>();
  const told = new Map<Uuid, string>();
  let lastCall = 0;
  let bound: Promise<void> = Promise.resolve();
  let noneLeft = (): void => {};
  let ending = false;
  const uplinks = new Map<string, Uplink>();
  const env: Env = {
    uplinks: options.uplinks,
    book: (name) => uplinks.get(name)?.book,
    failbackMs: options.failbackMs,
  };
  const roster = drive<Roster, RosterEvent, RosterAction>(
    emptyRoster(options.uplinks),
    (state, event, now) => stepRoster(state, event, now, env),
    clock,
    perform,
  );
  for (const name of options.uplinks) {
    const uplink = options.openUplink(name, (action) => hear(name, action));
    uplinks.set(name, uplink);
    const reason = notReady(uplink.book.peer);
    // What it told while it was being opened could not be looked up.
    hear(name, { do: "readiness", notReady: reason });
  }

  function hear(uplink: string, action: FromBook): void {
    roster({ on: "book", uplink, action });
    if (action.do === "report") {
      const { vnic, state, reason } = action;
      const fields = { vnic, uplink, state, ...(reason !== undefined && { reason }) };
      log.info(fields, "VNIC");
      warnOfMtu(vnic);
    }
    if (roster.state().nics.size === 0) noneLeft();
  }

  function perform(action: RosterAction): void {
    switch (action.do) {
      case "bind":
        rebind(action.binds);
        return;
      case "feed":
        uplinks.get(action.uplink)?.feed(action.event);
        return;
      case "done":
        waiting.get(action.call)?.done();
        return;
      case "failed":
        waiting.get(action.call)?.failed(action.reason);
        return;
      case "move": {
        const { vn, from, to, why } = action;
        log.info({ vn, from, to, why }, "VN goes over another uplink");
        return;
      }
    }
  }

  /** Once for each fault. */
  function warnOfMtu(name: Uuid): void {
    const warning = warningOf(name);
    if (warning === undefined) told.delete(name);
    else if (told.get(name) !== warning) {
      told.set(name, warning);
      const of = roster.state().nics.get(name)?.interface;
      log.warn({ vnic: name, interface: of }, warning);
    }
  }

  const warningOf = (name: Uuid): string | undefined =>
    [...partsOf({ name }, env).values()]
      .map((part) => mtuWarning(part, options.mtuOf(part.interface)))
      .find((warning) => warning !== undefined);

  function rebind(binds: number): void {
    bound = bind(() => allBindings(roster.state().nics.values(), env));
    bound.then(
      () => roster({ on: "bound", binds }),
      (error: unknown) => {
        log.error({ err: error }, "the virtual switch does not take the bindings: tried again");
        if (!ending) clock.at(Instant(clock.now() + BIND_RETRY_MS), () => rebind(binds));
      },
    );
  }

  /** Resolves when the virtual switch has what the NVE granted last. @throws Refused */
  async function inSwitch(): Promise<void> {
    try {
      await bound;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Refused(`the virtual switch does not take it: ${why}`, { cause: error });
    }
  }

  /** Feeds an event with a call in it; settles as the roster says. */
  function outcome(event: (call: number) => RosterEvent): Promise<void> {
    lastCall += 1;
    const call = lastCall;
    const promise = new Promise<void>((resolve, reject) => {
      waiting.set(call, { done: resolve, failed: (reason) => reject(new Refused(reason)) });
    });
    roster(event(call));
    return promise.finally(() => waiting.delete(call));
  }

  async function attach(request: AttachRequest, limit: Limit): Promise<VnicView> {
    const { vnic = Uuid(randomUUID()), interface: of, tree, vm, uplink: pinned } = request;
    if (uplinks.has(of)) throw new Refused(`${of} is an uplink: a VM's interface is wanted`);
    if (pinned !== undefined && !uplinks.has(pinned)) {
      const all = options.uplinks.join(", ");
      throw new NotFound(`${pinned} is no uplink: the agent's config has ${all}`);
    }
    if (!interfaceExists(of)) {
      throw new Refused(`there is no interface ${of} here: create it first, then attach it`);
    }
    const deadline = Instant(clock.now() + limit.timeoutMs);
    const cancel = () => void release(vnic).catch(() => {});
    const asked = outcome((call) => ({
      on: "attach",
      call,
      vnic,
      interface: of,
      ...(vm !== undefined && { vm }),
      ...(pinned !== undefined && { pinned }),
      tree,
      deadline,
    }));
    limit.cancelled?.addEventListener("abort", cancel);
    await asked.finally(() => limit.cancelled?.removeEventListener("abort", cancel));
    try {
      await inSwitch();
    } catch (error) {
      await release(vnic);
      throw error;
    }
    return view(known(vnic));
  }

  async function change(request: ChangeRequest, limit: Limit): Promise<VnicView> {
    const { vnic, add, remove } = request;
    const tree = changed(known(vnic), add, remove);
    const deadline = Instant(clock.now() + limit.timeoutMs);
    await outcome((call) => ({ on: "change", call, vnic, tree, deadline }));
    await inSwitch();
    return view(known(vnic));
  }

  /** First out of the virtual switch, then the NVE is told. */
  async function release(vnic: Uuid): Promise<void> {
    roster({ on: "unbind", vnic });
    await bound.catch(() => {}); // logged; what is not bound need not be unbound
    await outcome((call) => ({ on: "detach", call, vnic }));
  }

  async function stop(limitMs: number): Promise<void> {
    ending = true;
    if (roster.state().nics.size === 0) return;
    await new Promise<void>((resolve) => {
      const callOff = clock.at(Instant(clock.now() + limitMs), resolve);
      noneLeft = () => {
        callOff();
        resolve();
      };
      roster({ on: "stop" });
    });
  }

  function known(name: Uuid): Nic {
    const vnic = roster.state().nics.get(name);
    if (vnic === undefined) throw new NotFound(`no VNIC ${name} here: \`vnic list\` shows them`);
    return vnic;
  }

  function view(nic: Nic): VnicView {
    const { spread } = roster.state();
    const { over, reason, ...seen } = viewOf(nic, env, (vn) => targetOf(spread, nic, vn));
    const by = nic.wanted.flatMap((node): [VnRef, string][] => {
      const uplink = over.get(keyOf(node));
      return uplink === undefined || nic.leaving ? [] : [[node.vn, uplink]];
    });
    return {
      vnic: nic.name,
      interface: nic.interface,
      pinned: nic.pinned,
      vm: nic.vm,
      tree: nic.wanted,
      over: new Map(by),
      reason: reason ?? warningOf(nic.name),
      ...seen,
    };
  }

  const agent: Agent = {
    attach,
    change,
    detach: async (vnic) => release(known(vnic).name),
    vnics: () => [...roster.state().nics.values()].map(view),
    stop,
  };
  return { agent, uplinks: [...uplinks.values()] };
}

/** The whole tree after a change. @throws Refused, NotFound */
export function changed(
  { wanted, name }: Pick<Nic, "wanted" | "name">,
  add: Tree,
  remove: readonly NodePath[],
): Tree {
  const added = plus(wanted, add);
  const tree = remove.reduce<Tree>((rest, path) => {
    const smaller = minus(rest, path);
    if (smaller !== undefined) return smaller;
    const what = [`VN ${path.vn}`, path.mac && `MAC ${path.mac}`, path.ip && `IP ${path.ip}`];
    throw new NotFound(`VNIC ${name} has no ${what.filter(Boolean).join(", ")}`);
  }, added);
  if (tree.length > 0) return tree;
  throw new Refused(`nothing would be left of VNIC ${name}: use \`vnic detach\``);
}
