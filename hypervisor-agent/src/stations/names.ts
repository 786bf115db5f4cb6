import type { Mac, Uuid } from "@nve/protocol-spec";
import type { Tree } from "./tree.ts";

/** Names of VNICs by something that they have; never an empty set. */
export type Names<Key> = Map<Key, Set<Uuid>>;

export function addName<Key>(names: Names<Key>, key: Key, name: Uuid): void {
  const there = names.get(key);
  if (there === undefined) names.set(key, new Set([name]));
  else there.add(name);
}

export function removeName<Key>(names: Names<Key>, key: Key, name: Uuid): void {
  const there = names.get(key);
  there?.delete(name);
  if (there?.size === 0) names.delete(key);
}

/** VNICs by a key of which each has one at a time, or none. */
export function moveName<Key>(
  names: Names<Key>,
  name: Uuid,
  was: Key | undefined,
  now: Key | undefined,
): void {
  if (was === now) return;
  if (was !== undefined) removeName(names, was, name);
  if (now !== undefined) addName(names, now, name);
}

/** VNICs by the MACs that they shall have, in whatever VN. */
export function moveMacs(names: Names<Mac>, name: Uuid, was: Tree = [], now: Tree = []): void {
  if (was === now) return;
  for (const mac of macsIn(was)) removeName(names, mac, name);
  for (const mac of macsIn(now)) addName(names, mac, name);
}

export function* macsIn(tree: Tree): Iterable<Mac> {
  for (const { macs } of tree) for (const { mac } of macs) yield mac;
}
