import type { Random } from "../../model/random.ts";
import type { Model } from "./model.ts";
import type { Moved, Server } from "./plan.ts";

/** One VNIC, where it is, where it goes, and a third place. */
type Way = { model: Model; vnic: Moved; s: Server; d: Server; e: Server; random: Random };
/** Moves it by one of the orders of docs/migration.md. @returns where it is then */
type Order = (way: Way) => Promise<Server>;

/** Of two that say something at once. */
const both = async (...all: Promise<void>[]): Promise<void> => {
  const outcomes = await Promise.allSettled(all);
  for (const one of outcomes) if (one.status === "rejected") throw one.reason;
};

/** What it is called, how often it is taken, and what is done. */
const orders: Record<string, { weight: number; go: Order }> = {
  "all hints": {
    weight: 30,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await model.want(vnic, s, "suspended");
      await model.want(vnic, d, "active");
      await model.want(vnic, s, undefined);
      return d;
    },
  },
  "no S bit": {
    weight: 15,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await model.want(vnic, d, "active");
      await model.want(vnic, s, undefined);
      return d;
    },
  },
  "no hints": {
    weight: 15,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "active");
      await model.want(vnic, s, undefined);
      return d;
    },
  },
  "held, S bit": {
    weight: 8,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, s, "suspended");
      await model.want(vnic, s, undefined);
      await model.want(vnic, d, "active");
      return d;
    },
  },
  "held, reserved": {
    weight: 8,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await model.want(vnic, s, undefined);
      await model.want(vnic, d, "active");
      return d;
    },
  },
  "both ends at once": {
    weight: 6,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await both(model.want(vnic, d, "active"), model.want(vnic, s, undefined));
      return d;
    },
  },
  "rolled back, prepared": {
    weight: 6,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await model.want(vnic, d, undefined);
      return s;
    },
  },
  "rolled back, suspended": {
    weight: 5,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await model.want(vnic, s, "suspended");
      await model.want(vnic, s, "active");
      await model.want(vnic, d, undefined);
      return s;
    },
  },
  "rolled back, switched over": {
    weight: 5,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, d, "prepared");
      await model.want(vnic, s, "suspended");
      await model.want(vnic, d, "active");
      await model.want(vnic, s, "active");
      await model.want(vnic, d, undefined);
      return s;
    },
  },
  "rolled back, destination first": {
    weight: 4,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, s, "suspended");
      await model.want(vnic, d, "active");
      await model.want(vnic, d, undefined);
      await model.want(vnic, s, "active");
      return s;
    },
  },
  "shut down, started elsewhere": {
    weight: 5,
    go: async ({ model, vnic, s, d }) => {
      await model.want(vnic, s, undefined);
      await model.want(vnic, d, "active");
      return d;
    },
  },
  "two destinations": {
    weight: 6,
    go: async ({ model, vnic, s, d, e }) => {
      await both(model.want(vnic, d, "prepared"), model.want(vnic, e, "prepared"));
      await both(model.want(vnic, d, "active"), model.want(vnic, s, undefined));
      await model.want(vnic, e, undefined);
      return d;
    },
  },
  "active at two at once": {
    weight: 5,
    go: async ({ model, vnic, s, d, e }) => {
      await both(model.want(vnic, d, "active"), model.want(vnic, e, "active"));
      await both(model.want(vnic, s, undefined), model.want(vnic, e, undefined));
      return d;
    },
  },
  "on before it is over": {
    weight: 8,
    go: async ({ model, vnic, s, d, e }) => {
      await model.want(vnic, d, "active");
      await model.want(vnic, e, "prepared");
      await model.want(vnic, e, "active");
      await both(model.want(vnic, s, undefined), model.want(vnic, d, undefined));
      return e;
    },
  },
};

const weights = Object.fromEntries(
  Object.entries(orders).map(([name, { weight }]) => [name, weight]),
);

/** Where it is, of one that moves next, and by which order. */
export async function moveOnce(
  model: Model,
  vnic: Moved,
  s: Server,
  random: Random,
): Promise<{ order: string; at: Server }> {
  const order = random.weighted(weights);
  const others = vnic.places.filter((place) => place !== s);
  const d = random.pick(others);
  const e = random.pick(others.filter((place) => place !== d));
  const at = await orders[order]?.go({ model, vnic, s, d, e, random });
  return { order, at: at ?? s };
}
