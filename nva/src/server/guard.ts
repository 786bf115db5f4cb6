import grpc from "@grpc/grpc-js";
import type { Log, Service } from "@nve/program";
import { forbidden } from "./access.ts";
import { actorOf, type Door, type Identity, identify } from "./identity.ts";

export type Refusal = { who: Identity; method: string; reason: string };

type Call = grpc.ServerUnaryCall<unknown, unknown> & grpc.ServerDuplexStream<unknown, unknown>;
type Handler = (call: Call, done?: grpc.sendUnaryData<unknown>) => void;

/**
 * A service as those who come through a door may use it: who calls is known to the handler by `identityOf`, and what it
 * may not call answers PERMISSION_DENIED and why. What stands in the messages of a stream its handler looks at itself.
 */
export function guarded(
  { definition, implementation }: Service,
  door: Door,
  refused: (refusal: Refusal) => void,
): Service {
  const handlers = Object.entries(implementation).map(([method, handle]) => {
    const { requestStream = false, responseStream = false } = definition[method] ?? {};
    const guard: Handler = (call, done) => {
      const who = identify(call, door);
      const reason = forbidden(who, method, requestStream ? undefined : call.request);
      if (reason === undefined) return (handle as Handler)(call, done);
      refused({ who, method, reason });
      const status = { code: grpc.status.PERMISSION_DENIED, details: reason };
      if (responseStream) call.emit("error", status);
      else done?.(status);
    };
    return [method, guard] as const;
  });
  return {
    definition,
    implementation: Object.fromEntries(handlers) as grpc.UntypedServiceImplementation,
  };
}

export const logRefusal =
  (log: Log) =>
  ({ who, method, reason }: Refusal): void =>
    log.warn({ actor: actorOf(who), method, reason }, "call refused");
