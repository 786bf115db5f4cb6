import { connect, type Socket } from "node:net";
import type { Clock } from "@nve/linux";
import { Instant } from "@nve/protocol-spec";

const againMs = 50;
const heldMs = 1_000;

/**
 * Keeps a connection to another process, to see at once when that has died: its host refuses connections then, twice
 * running. Silence is no sign of it: for that there is a lease.
 *
 * @param address `host:port`
 * @returns how to end it
 */
export function keepVigil(address: string, clock: Clock, gone: () => void): () => void {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  let socket: Socket | undefined;
  let refusals = 0;
  let over = false;
  let callOff = (): void => {};

  const look = (): void => {
    if (over || host === undefined) return;
    let failure = "";
    socket = connect({ host, port: Number(port) });
    socket.on("connect", () => {
      refusals = 0;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code ?? "";
    });
    socket.on("data", () => undefined); // what it says is of no interest
    socket.on("close", () => {
      if (over) return;
      refusals = failure === "ECONNREFUSED" ? refusals + 1 : 0;
      if (refusals >= 2) {
        over = true;
        gone();
        return;
      }
      const pause = failure === "" || failure.startsWith("ECONN") ? againMs : heldMs;
      callOff = clock.at(Instant(clock.now() + pause), look);
    });
    socket.unref();
  };

  look();
  return () => {
    over = true;
    callOff();
    socket?.destroy();
  };
}
