import type { Binding, VirtualSwitch } from "./vm-port/vm-port.ts";

/**
 * One `bind` at a time, always of the latest bindings.
 * @returns what settles when these bindings, or later ones, are in the virtual switch or were refused by it
 */
export function binder(
  virtualSwitch: Pick<VirtualSwitch, "bind">,
): (bindings: readonly Binding[]) => Promise<void> {
  let latest: readonly Binding[] = [];
  let applied: readonly Binding[] = latest;
  let tail: Promise<unknown> = Promise.resolve();

  async function apply(): Promise<void> {
    if (applied === latest) return; // a later call's bindings went in with an earlier call
    const these = latest;
    await virtualSwitch.bind(these);
    applied = these;
  }

  return (bindings) => {
    latest = bindings;
    const mine = tail.then(apply);
    tail = mine.catch(() => {});
    return mine;
  };
}
