import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { answers } from "@nve/program/answers";
import { Refused } from "@nve/program/errors";

export type Lock = { release(): Promise<void> };

/** Another process holds the folder. */
export class Held extends Refused {}

/**
 * Holds a folder for this process, by a listening socket in it: unlike a file with a process ID it ends with its
 * process, however that ends, and is seen from other containers and network namespaces too.
 * @throws Held when another process holds the folder; Refused when nothing can be made in it
 */
export async function lockFolder(path: string): Promise<Lock> {
  let folder: FileHandle;
  try {
    folder = await open(path, "r");
  } catch (error) {
    throw notWritable(path, error);
  }
  // A socket's path is 107 octets at most; through the descriptor it is short wherever the folder is.
  const inside = (name: string): string => `/proc/self/fd/${folder.fd}/${name}`;
  try {
    const server = await hold(path, inside);
    return {
      release: async () => {
        await new Promise<void>((resolve) => server.close(() => resolve())); // unlinks it too
        await folder.close();
      },
    };
  } catch (error) {
    await folder.close();
    throw error instanceof Refused ? error : notWritable(path, error);
  }
}

async function hold(path: string, inside: (name: string) => string): Promise<Server> {
  const socket = inside("in-use");
  for (let attempt = 0; attempt < 3; attempt++) {
    const server = await listen(socket);
    if (server !== undefined) return server;
    if (await answers(socket)) break;
    // Left behind by a crash. Moved aside first: were it another's fresh one by now, it would answer.
    const aside = inside(`in-use.${randomUUID()}`);
    if (!(await moved(socket, aside))) continue;
    if (await answers(aside)) {
      await rename(aside, socket);
      break;
    }
    await rm(aside, { force: true });
  }
  throw new Held(
    `${path} is in use by another nva: stop that one first, or give this one a store.path of its own`,
  );
}

/** `undefined`: there is such a socket already. */
function listen(socket: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((peer) => peer.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(socket, () => {
      server.unref();
      resolve(server);
    });
  });
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

function notWritable(path: string, error: unknown): Refused {
  const why = error instanceof Error ? error.message : String(error);
  return new Refused(
    `cannot use ${path} as a store: ${why}. Check that it is a folder of this program's own that it may write`,
    { cause: error },
  );
}
