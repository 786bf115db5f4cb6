import { turn } from "@nve/linux/turn";
import type { Binding, VirtualSwitch } from "./vm-port/vm-port.ts";

/**
 * One `bind` at a time, always of the latest bindings; they are asked for when it begins, so that those in between cost nothing.
 * After each what has come in meanwhile has its turn: of hundreds of VNICs that come or go at once the next takes many.
 * @returns what settles when these bindings, or later ones, are in the virtual switch or were refused by it
 */
export function binder(
  virtualSwitch: Pick<VirtualSwitch, "bind">,
): (bindings: () => readonly Binding[]) => Promise<void> {
  let latest = (): readonly Binding[] => [];
  let asked = 0;
  let applied = 0;
  let tail: Promise<unknown> = Promise.resolve();

  async function apply(wanted: number): Promise<void> {
    if (applied >= wanted) return; // these went in with an earlier call
    const upTo = asked;
    await virtualSwitch.bind(latest());
    applied = upTo;
  }

  return (bindings) => {
    latest = bindings;
    asked += 1;
    const wanted = asked;
    const mine = tail.then(() => apply(wanted));
    tail = mine.catch(() => {}).then(turn);
    return mine;
  };
}
