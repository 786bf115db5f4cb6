import grpc from "@grpc/grpc-js";

// grpc-js answers INTERNAL to what it cannot read, as if the fault were the server's.

/** In place of a message that cannot be read. */
class Undecodable {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

/** The same service, which hands over what it cannot read as `Undecodable`: goes with `refuseUndecodable`. */
export const withUndecodable = (service: grpc.ServiceDefinition): grpc.ServiceDefinition =>
  Object.fromEntries(
    Object.entries(service).map(([name, method]) => {
      const { requestDeserialize } = method;
      const readable = (octets: Buffer): unknown => {
        try {
          return requestDeserialize(octets);
        } catch (error) {
          return new Undecodable(error instanceof Error ? error.message : String(error));
        }
      };
      return [name, { ...method, requestDeserialize: readable }];
    }),
  );

/** A server interceptor: INVALID_ARGUMENT to a message that cannot be read, and its call ends. */
export const refuseUndecodable: grpc.ServerInterceptor = ({ path }, call) =>
  new grpc.ServerInterceptingCall(call, {
    start: (next) =>
      next({
        onReceiveMessage: (message: unknown, pass) => {
          if (!(message instanceof Undecodable)) return pass(message);
          const details = `the message cannot be read as a request of ${path.slice(1)}: ${message.why}`;
          call.sendStatus({ code: grpc.status.INVALID_ARGUMENT, details });
        },
      }),
  });
