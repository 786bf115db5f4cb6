import { connect } from "node:net";

/** Whether a process listens at a unix socket; a socket that a dead one has left answers nobody. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
