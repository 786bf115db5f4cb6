import { randomUUID } from "node:crypto";
import type { Clock } from "@nve/linux";
import { NotFound, Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant, Uuid, type VnId } from "@nve/protocol-spec";
import { binder } from "./binder.ts";
import { minus, type NodePath, plus, type Tree } from "./stations/tree.ts";
import type { BookAction, BookEvent } from "./stations/turn.ts";
import {
  bindingsOf,
  mtuWarning,
  notReady,
  stateOf,
  type Vnic,
  type VnicState,
} from "./stations/vnic.ts";
import type { TaggedLeaf } from "./stations/vsi.ts";
import type { Uplink } from "./uplink.ts";
import type { VirtualSwitch } from "./vm-port/vm-port.ts";

/** What the operator can do, whoever carries it: the control socket, a test, later libvirt or CNI. */
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

/** `vm`: name of the VM, for people. */
export type AttachRequest = { vnic?: Uuid; interface: string; vm?: string; tree: Tree };
export type ChangeRequest = { vnic: Uuid; add: Tree; remove: readonly NodePath[] };
/** `cancelled` aborts when nobody waits for the outcome any more. */
export type Limit = { timeoutMs: number; cancelled?: AbortSignal };

export type VnicView = {
  vnic: Uuid;
  interface: string;
  uplink: string;
  state: VnicState;
  reason: string | undefined;
  vm: string | undefined;
  tree: Tree;
  tagged: readonly TaggedLeaf[];
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
  /** Is given what the uplink's book decides; opens the uplink. */
  openUplink(perform: (action: Exclude<BookAction, { do: "send" }>) => void): Uplink;
};

/** How long until bindings that the virtual switch did not take are tried again. */
const BIND_RETRY_MS = 1000;

export function startAgent(options: AgentOptions): { agent: Agent; uplink: Uplink } {
  const { clock, virtualSwitch, interfaceExists, log } = options;
  const bind = binder(virtualSwitch);
  const waiting = new Map<number, { done(): void; failed(reason: string): void }>();
  const told = new Map<Uuid, string>();
  let lastCall = 0;
  let bound: Promise<void> = Promise.resolve();
  let noneLeft = (): void => {};
  let ending = false;
  const uplink = options.openUplink(perform);

  function perform(action: Exclude<BookAction, { do: "send" }>): void {
    switch (action.do) {
      case "bind":
        rebind();
        return;
      case "done":
        waiting.get(action.call)?.done();
        return;
      case "failed":
        waiting.get(action.call)?.failed(action.reason);
        return;
      case "report": {
        const { vnic, state, reason } = action;
        log.info({ vnic, state, ...(reason !== undefined && { reason }) }, "VNIC");
        if (uplink.book.vnics.size === 0) noneLeft();
        warnOfMtu(vnic);
        return;
      }
    }
  }

  /** Once for each fault. */
  function warnOfMtu(name: Uuid): void {
    const vnic = uplink.book.vnics.get(name);
    const warning = vnic && mtuWarning(vnic, options.mtuOf(vnic.interface));
    if (warning === undefined) told.delete(name);
    else if (told.get(name) !== warning) {
      told.set(name, warning);
      log.warn({ vnic: name, interface: vnic?.interface }, warning);
    }
  }

  function rebind(): void {
    bound = bind(
      bindingsOf(uplink.book.vnics.values()).map((one) => ({ ...one, uplink: uplink.name })),
    );
    bound.catch((error: unknown) => {
      log.error({ err: error }, "the virtual switch does not take the bindings: tried again");
      if (!ending) clock.at(Instant(clock.now() + BIND_RETRY_MS), rebind);
    });
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

  /** Feeds an event with a call in it; settles as the book says. */
  function outcome(event: (call: number) => BookEvent): Promise<void> {
    lastCall += 1;
    const call = lastCall;
    const promise = new Promise<void>((resolve, reject) => {
      waiting.set(call, { done: resolve, failed: (reason) => reject(new Refused(reason)) });
    });
    uplink.feed(event(call));
    return promise.finally(() => waiting.delete(call));
  }

  async function attach(request: AttachRequest, limit: Limit): Promise<VnicView> {
    const { vnic = Uuid(randomUUID()), interface: of, tree, vm } = request;
    if (of === uplink.name) throw new Refused(`${of} is the uplink: a VM's interface is wanted`);
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
    uplink.feed({ on: "unbind", vnic });
    await bound.catch(() => {}); // logged; what is not bound need not be unbound
    await outcome((call) => ({ on: "detach", call, vnic }));
  }

  async function stop(limitMs: number): Promise<void> {
    ending = true;
    if (uplink.book.vnics.size === 0) return;
    await new Promise<void>((resolve) => {
      const callOff = clock.at(Instant(clock.now() + limitMs), resolve);
      noneLeft = () => {
        callOff();
        resolve();
      };
      uplink.feed({ on: "stop" });
    });
  }

  function known(name: Uuid): Vnic {
    const vnic = uplink.book.vnics.get(name);
    if (vnic === undefined) throw new NotFound(`no VNIC ${name} here: \`vnic list\` shows them`);
    return vnic;
  }

  const view = (vnic: Vnic): VnicView =>
    viewOf(vnic, uplink, mtuWarning(vnic, options.mtuOf(vnic.interface)));

  const agent: Agent = {
    attach,
    change,
    detach: async (vnic) => release(known(vnic).name),
    vnics: () => [...uplink.book.vnics.values()].map(view),
    stop,
  };
  return { agent, uplink };
}

/** The whole tree after a change. @throws Refused, NotFound */
function changed({ wanted, name }: Vnic, add: Tree, remove: readonly NodePath[]): Tree {
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

function viewOf(vnic: Vnic, { name, book }: Uplink, warning: string | undefined): VnicView {
  const state = stateOf(vnic);
  return {
    vnic: vnic.name,
    interface: vnic.interface,
    uplink: name,
    state,
    reason: (state === "waiting" ? notReady(book.peer) : undefined) ?? vnic.reason ?? warning,
    vm: vnic.vm,
    tree: vnic.wanted,
    tagged: vnic.granted?.tagged ?? [],
    mtus: vnic.mtus ?? new Map(),
  };
}
