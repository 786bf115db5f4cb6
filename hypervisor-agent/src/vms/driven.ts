import { randomUUID } from "node:crypto";
import { OutOfRange, Uuid } from "@nve/protocol-spec";
import type { Agent, AttachRequest } from "../agent.ts";

/** Who says what becomes of a VNIC: who calls the API, the QMP watcher, or libvirt's hook and events. */
export type Driver = (typeof drivers)[number];
const drivers = ["api", "qmp", "libvirt"] as const;

/** @throws OutOfRange */
export function DriverName(text: string): Driver {
  const found = drivers.find((one) => one === text);
  if (found !== undefined) return found;
  throw new OutOfRange(`"${text}" drives no VNIC: ${drivers.join(", ")}`);
}

/** An agent that knows who drives which VNIC. */
export type DrivenAgent = Agent & { driverOf(vnic: Uuid): Driver };

/** @param allows @throws Refused when this driver cannot be here */
export function driven(agent: Agent, allows: (by: Driver) => void = () => {}): DrivenAgent {
  const by = new Map<Uuid, Driver>();
  return {
    attach: async (request: AttachRequest, limit) => {
      const { by: driver = "api", vnic = Uuid(randomUUID()) } = request;
      allows(driver);
      const before = by.get(vnic);
      by.set(vnic, driver);
      try {
        return await agent.attach({ ...request, vnic }, limit);
      } catch (error) {
        if (before === undefined) by.delete(vnic);
        else by.set(vnic, before); // it is attached already, by somebody else
        throw error;
      }
    },
    change: (request, limit) => agent.change(request, limit),
    detach: async (vnic) => {
      await agent.detach(vnic);
      by.delete(vnic);
    },
    vnics: () => agent.vnics(),
    stop: (limitMs) => agent.stop(limitMs),
    driverOf: (vnic) => by.get(vnic) ?? "api",
  };
}
