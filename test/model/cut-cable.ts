import { connect, createServer, type Socket } from "node:net";

/** A TCP connection's way to a server that can be cut: nothing comes through then, and nobody is told. */
export type CutCable = {
  readonly address: string;
  cut(): void;
  /** What was under way is lost; new connections go through. */
  mend(): void;
  close(): Promise<void>;
};

export function cutCable(to: string): Promise<CutCable> {
  const [host = "", port = ""] = to.split(":");
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  };
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((near) => {
    keep(near);
    if (isCut) return void near.pause();
    const far = connect(Number(port), host);
    keep(far);
    near.pipe(far);
    far.pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      resolve({
        address: `127.0.0.1:${typeof at === "object" ? at?.port : 0}`,
        cut: () => {
          isCut = true;
          for (const socket of sockets) {
            socket.unpipe();
            socket.pause();
          }
        },
        mend: () => {
          if (!isCut) return;
          isCut = false;
          drop();
        },
        close: () => {
          drop();
          return new Promise((done) => server.close(() => done()));
        },
      });
    });
  });
}
