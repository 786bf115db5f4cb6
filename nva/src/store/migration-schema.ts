import { checked } from "@nve/program";
import { HypervisorId, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";
import { z } from "zod";

// How a migration looks in a store (docs/migration.md).
const count = z.number().int().nonnegative();
const spot = z.strictObject({
  nveId: z.string().transform(checked(NveId)),
  port: z.string().optional(),
  hypervisor: z.string().transform(checked(HypervisorId)).optional(),
});
const common = {
  vnic: z.string().transform(checked(Uuid)),
  addresses: z.array(
    z.strictObject({
      vnId: z.number().transform(checked(VnId)),
      mac: z.string().transform(checked(Mac)),
    }),
  ),
  startedUnixMs: count,
  hinted: z.boolean(),
  steps: z.array(z.strictObject({ atUnixMs: count, what: z.string() })),
  from: spot,
};
const departures = z.array(
  z.strictObject({
    spot,
    left: z.boolean(),
    forwards: z
      .strictObject({ notBeforeUnixMs: count, untilUnixMs: count, known: z.boolean() })
      .optional(),
  }),
);

export const migration = z.discriminatedUnion("is", [
  z.strictObject({ ...common, is: z.literal("prepared"), to: spot }),
  z.strictObject({ ...common, is: z.literal("held"), to: spot.optional(), untilUnixMs: count }),
  z.strictObject({
    ...common,
    is: z.enum(["switched-over", "rolling-back"]),
    to: spot,
    departures,
    next: spot.optional(),
  }),
  z.strictObject({
    ...common,
    is: z.enum(["completed", "rolled-back", "given-up"]),
    to: spot.optional(),
    endedUnixMs: count,
  }),
]);
