import { isUp, type LinkState, linkMonitor } from "@nve/linux";

/**
 * Follows the interface of that name without a socket on it. `changed` is called at once with what is so, and at each
 * change; also when the kernel could not tell all, and the interface may be another one by now.
 * @returns ends it
 */
export type WatchInterface = (name: string, changed: (state: LinkState) => void) => () => void;

export const watchInterface: WatchInterface = (name, changed) => {
  const stateOf = (link: ReturnType<ReturnType<typeof linkMonitor>["find"]>): LinkState =>
    link === undefined ? "absent" : isUp(link) ? "up" : "down";
  const monitor = linkMonitor();
  const unwatch = monitor.watch(name, (link) => changed(stateOf(link)));
  changed(stateOf(monitor.find(name)));
  return unwatch;
};
