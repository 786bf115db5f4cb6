import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { namespaceOf } from "@nve/lab/topology";
import { afterEach, expect } from "vitest";
import { until } from "./lab.ts";
import { labReaders } from "./lab-readers.ts";
import { linesOf, spawnIn } from "./streams.ts";
import { type useTwoRacks, type Vm, VN } from "./two-racks.ts";

const script = fileURLToPath(new URL("probe.mjs", import.meta.url));

/** How one VM of red moves about in a lab. A VM that moves is several namespaces with the same addresses. */
export type Mover = ReturnType<typeof useMover>;

/** @param one the VM as it is where it begins @param nva a node with an NVA that answers */
export function useMover(lab: ReturnType<typeof useTwoRacks>, one: Vm, nva = () => "nva") {
  const read = labReaders(lab.name);
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });
  const nodeOf = (who: Vm): string => namespaceOf(lab.name, who.vm);
  const probe = (who: Vm, ...words: string[]) => {
    const child = spawnIn(nodeOf(who), process.execPath, script, ...words);
    children.push(child);
    return { child, lines: linesOf(child) };
  };
  const mover = {
    vnic: "",
    nodeOf,

    migration: async () => {
      const one = await read.migration(nva(), mover.vnic);
      if (one === undefined) throw new Error(`VNIC ${mover.vnic} has not moved`);
      return one;
    },

    whenIs: (state: string, ms = 15_000) =>
      until(
        `the migration to be ${state}`,
        async () => {
          const now = await read.migration(nva(), mover.vnic);
          return now?.state === state ? now : undefined;
        },
        ms,
      ),

    /** At which NVE the NVA has it. */
    where: async (): Promise<string | undefined> => {
      const all = await read.mappings(nva());
      return all.find(({ vnId, mac }) => vnId === VN.red && mac === one.mac)?.locations[0]?.nve;
    },

    placeAt: async (tor: string) =>
      (await read.fdb(tor)).find(({ vnId, mac }) => vnId === VN.red && mac === one.mac),

    /** Until an NVE takes frames of red from another: it has heard that the other is in the VN. */
    hasHeardOf: (tor: string, other: string) =>
      until(`${tor} to know ${other}`, async () => {
        const red = (await read.vns(tor)).find(({ vnId }) => vnId === VN.red);
        return red?.remoteNves.some((nve) => nve.startsWith(`${other} `)) || undefined;
      }),

    // As a hypervisor does for a VM that arrives, or leaves.
    prepare: (at: Vm) => lab.attach(at, "--vnic", mover.vnic, "--prepare"),
    say: (verb: "activate" | "suspend", at: Vm) =>
      lab.run(at.server, "hypervisor-agent", "vnic", verb, at.interface),

    /** Hears numbered datagrams at each place. @returns how to end it: the numbers in the order in which they came */
    async hearing(places: readonly Vm[], port = "7000"): Promise<() => Promise<number[][]>> {
      const all = await Promise.all(
        places.map(async (place) => {
          const heard = probe(place, "hear", one.ip, port);
          expect(await heard.lines.next()).toBe("ready");
          return heard;
        }),
      );
      return () =>
        Promise.all(
          all.map(async ({ child, lines }) => {
            child.kill("SIGTERM");
            const seen = JSON.parse((await lines.next()) ?? "[]") as [number, number][];
            return seen.map(([n]) => n);
          }),
        );
    },

    /** From another VM, one each millisecond. Resolves when all are sent. */
    async sending(from: Vm, first: number, last: number, port = "7000"): Promise<void> {
      await probe(from, "send", one.ip, port, String(first), String(last)).lines.next();
    },

    /** The same until it is ended. @returns how: the numbers that were sent, and those heard at each place */
    async streaming(from: Vm, places: readonly Vm[], port = "7000") {
      const hear = await mover.hearing(places, port);
      const { child, lines } = probe(from, "send", one.ip, port, "1", String(1e9));
      return async (): Promise<{ sent: number[]; heard: number[][] }> => {
        child.kill("SIGTERM");
        const last = Number(await lines.next());
        return { sent: numbers(1, last), heard: await hear() };
      };
    },

    /**
     * Nothing of a move is left: claims, tags, places and members are what they are without one.
     * @param at where it is active @param others VMs that are attached in its VN
     */
    async rests(state: string, at: Vm | undefined, ...others: Vm[]) {
      const over = await mover.whenIs(state, 60_000);
      expect(over.departures.filter(({ forwarding }) => forwarding)).toEqual([]);
      const members = new Set([...(at === undefined ? [] : [at]), ...others].map(({ tor }) => tor));
      const ports = [...(at === undefined ? [] : [at]), ...others].map(
        ({ tor, server }) => `${tor} ${server}`,
      );
      const tors = ["tor1", "tor2", ...(lab.name.includes("replicas") ? [] : ["tor3"])];
      for (const tor of tors) {
        const isMember = members.has(tor);
        const place =
          at === undefined || !isMember
            ? undefined
            : at.tor === tor
              ? { where: "local", nveId: "" }
              : { where: "remote", nveId: at.tor };
        const wanted = {
          place,
          moved: 0,
          tags: new Set(ports.filter((port) => port.startsWith(`${tor} `))).size,
          members: isMember ? [...members].filter((other) => other !== tor).sort() : undefined,
        };
        await settles(`${tor} to rest`, wanted, async () => {
          const [fdb, vns] = [await read.fdb(tor), await read.vns(tor)];
          const row = fdb.find(({ vnId, mac }) => vnId === VN.red && mac === one.mac);
          const red = vns.find(({ vnId }) => vnId === VN.red);
          return {
            place: row && { where: row.where, nveId: row.nveId },
            moved: fdb.filter(({ moved }) => moved).length,
            tags: vns.reduce((n, { tags }) => n + tags.length, 0),
            members: red?.remoteNves.map((nve) => nve.split(" ")[0] ?? "").sort(),
          };
        });
      }
      await settles(
        "the NVA to have its claim and no other",
        at ? [`nve:${at.tor}`] : [],
        async () => {
          const claims = await read.claims(nva());
          return claims.filter(({ mac }) => mac === one.mac).map(({ source }) => source);
        },
      );
      return over;
    },
  };
  return mover;
}

/** Looks until it is as wanted; what it is instead is told at the end of the time. */
async function settles<T>(what: string, wanted: T, look: () => Promise<T>, ms = 30_000) {
  let is: T | undefined;
  await until(
    what,
    async () => {
      is = await look();
      return JSON.stringify(is) === JSON.stringify(wanted) || undefined;
    },
    ms,
  ).catch(() => expect(is, what).toEqual(wanted));
}

/** None is lost, none comes twice; if not, which: the first and the last of each row. */
export function isWhole({ sent, heard }: { sent: readonly number[]; heard: readonly number[][] }) {
  const times = new Map<number, number>();
  for (const n of heard.flat()) times.set(n, (times.get(n) ?? 0) + 1);
  const lost: [number, number][] = [];
  for (const n of sent) {
    if (times.has(n)) continue;
    const row = lost.at(-1);
    if (row?.[1] === n - 1) row[1] = n;
    else lost.push([n, n]);
  }
  const twice = [...times].filter(([, count]) => count > 1).map(([n]) => n);
  expect({ of: sent.length, lost, twice }).toEqual({ of: sent.length, lost: [], twice: [] });
}

export const numbers = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);
export const inOrder = (all: readonly number[]): number[] => [...all].sort((a, b) => a - b);
