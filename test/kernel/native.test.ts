import { execFile } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { NativeSocket, type SocketOptions, SystemError } from "@nve/linux";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { runModule } from "../support/child.ts";

const PACKET: SocketOptions = { domain: 17, type: 3, protocol: 0, slotOctets: 2048, settings: [] };
const UNIX: SocketOptions = { domain: 1, type: 2, protocol: 0, slotOctets: 64, settings: [] };
const NO_FAMILY: SocketOptions = { ...PACKET, domain: 200 };

const addon = fileURLToPath(new URL("../../linux/build/socket.node", import.meta.url));
const opening = `require(${JSON.stringify(addon)}).open(17, 3, 0, 2048, [], undefined, undefined, () => {})`;

/** sockaddr_un of an abstract address: nothing is left on the disk. */
const address = (name: string): Uint8Array =>
  Uint8Array.from([1, 0, 0, ...new TextEncoder().encode(`nvet-${process.pid}-${name}`)]);

type Plain = (...args: unknown[]) => unknown;

/** Runs a script in a process of its own, which has to end by itself. @returns its stdout */
const runNode = async (script: string): Promise<string> =>
  (await promisify(execFile)(process.execPath, ["-e", script], { timeout: 10_000 })).stdout;

const open: NativeSocket[] = [];
const openSocket = (...args: ConstructorParameters<typeof NativeSocket>): NativeSocket => {
  const socket = new NativeSocket(...args);
  open.push(socket);
  return socket;
};
beforeAll(() => new NativeSocket(PACKET).close()); // builds the addon where it is missing
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

describe("the native socket", () => {
  test("names what the kernel refuses", () => {
    const refused = (options: SocketOptions): unknown => {
      try {
        openSocket(options);
        return "opened";
      } catch (error) {
        return error instanceof SystemError ? `${error.code}: ${error.message}` : error;
      }
    };
    const nowhere = Uint8Array.from([
      17,
      0,
      0,
      3,
      0xff,
      0xff,
      0xff,
      0x7f,
      ...new Array(12).fill(0),
    ]);
    expect(refused(NO_FAMILY)).toBe("EAFNOSUPPORT: socket: EAFNOSUPPORT");
    expect(refused({ ...PACKET, address: nowhere })).toBe("ENODEV: bind: ENODEV");
    expect(refused({ ...PACKET, slotOctets: 0 })).toBe("EINVAL: open: EINVAL");
    expect(refused({ ...PACKET, slotOctets: 2 ** 20 + 1 })).toBe("EINVAL: open: EINVAL");
    expect(refused({ ...PACKET, settings: [[263, 9999, Uint8Array.of(1)]] })).toBe(
      "ENOPROTOOPT: setsockopt: ENOPROTOOPT",
    );
    expect(refused({ ...PACKET, filter: new Uint8Array(8) })).toBe("EINVAL: attach filter: EINVAL");
  });

  test("leaves no descriptor behind where the kernel refused", () => {
    const before = readdirSync("/proc/self/fd").length;
    for (let n = 0; n < 20; n++) {
      expect(() => openSocket({ ...PACKET, filter: new Uint8Array(8) })).toThrow("EINVAL");
    }
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });

  test("carries unix datagrams, as a service tells systemd that it is ready", async () => {
    const heard = new Promise<string>((resolve) => {
      openSocket({ ...UNIX, address: address("notify") }, ([first]) =>
        resolve(new TextDecoder().decode(first)),
      );
    });
    const teller = openSocket(UNIX);
    expect(teller.send(new TextEncoder().encode("READY=1"), address("notify"))).toBeUndefined();
    expect(await heard).toBe("READY=1");
    expect(teller.send(Uint8Array.of(1), address("nobody"))).toBe("ECONNREFUSED");
  });

  test("counts a message that is longer than a slot as lost, and goes on", async () => {
    const heard: Uint8Array[] = [];
    const done = new Promise<void>((resolve) => {
      openSocket({ ...UNIX, address: address("slot") }, (messages) => {
        heard.push(...messages);
        if (heard.length === 2) resolve();
      });
    });
    const [listener] = open;
    const teller = openSocket(UNIX);
    for (const length of [64, 65, 0]) teller.send(new Uint8Array(length), address("slot"));
    await done;
    expect(heard.map(({ length }) => length)).toEqual([64, 0]);
    expect([listener?.statistics().lost, listener?.statistics().lost]).toEqual([1, 0]);
  });

  test("V10: with an intake limit takes so many at once, and then so many a second", async () => {
    const times: number[] = [];
    const done = new Promise<void>((resolve) => {
      const intake = {
        frames: { burst: 10, perSecond: 100 },
        octets: { burst: 1e6, perSecond: 1e6 },
      };
      openSocket({ ...UNIX, address: address("limit"), intake }, (messages) => {
        times.push(...messages.map(() => performance.now()));
        if (times.length >= 30) resolve(); // several may come at once
      });
    });
    const teller = openSocket(UNIX);
    const begun = performance.now();
    while (times.length < 30) {
      // the kernel keeps ten datagrams (net.unix.max_dgram_qlen) that nobody reads
      if (teller.send(Uint8Array.of(1), address("limit")) !== undefined)
        await new Promise(setImmediate);
    }
    await done;
    expect(times[9]).toBeLessThan(begun + 100);
    expect(times[29]).toBeGreaterThan(begun + 190);
  });

  test("V10: the intake limit counts octets too", async () => {
    let heard = 0;
    const intake = { frames: { burst: 1e6, perSecond: 1e6 }, octets: { burst: 64, perSecond: 1 } };
    openSocket({ ...UNIX, address: address("octets"), intake }, (messages) => {
      heard += messages.length;
    });
    const teller = openSocket(UNIX);
    teller.send(new Uint8Array(64), address("octets"));
    while (heard === 0) await new Promise(setImmediate);
    teller.send(new Uint8Array(64), address("octets"));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard).toBe(1);
  });

  test("a socket that waits for its limit keeps its process running, and can be closed", async () => {
    const waiting = `
      const { open, send, close } = require(${JSON.stringify(addon)});
      const address = Uint8Array.from([1, 0, 0, ...Buffer.from("nvet-wait-" + process.pid)]);
      const handle = open(1, 2, 0, 64, [], undefined, address, () => setTimeout(() => { AFTER }, 50).unref(),
        [1, 0.001, 1e6, 1e6]);
      send(handle, address, address); send(handle, address, address);`;
    expect(
      await runNode(waiting.replace("AFTER", 'process.stdout.write("on"); process.exit(0)')),
    ).toBe("on");
    expect(
      await runNode(waiting.replace("AFTER", 'process.stdout.write("shut"); close(handle)')),
    ).toBe("shut");
  });

  test("refuses to send once closed, and may be closed again", () => {
    const socket = openSocket(UNIX);
    socket.close();
    socket.close();
    socket.keepAlive(true);
    expect(socket.send(Uint8Array.of(1))).toBe("EBADF");
    expect(socket.statistics()).toEqual({ passed: 0, lost: 0 });
  });

  test("takes no foreign object for a handle", () => {
    const { send, close } = createRequire(import.meta.url)(addon) as Record<
      "send" | "close",
      Plain
    >;
    for (const thing of [undefined, {}, 7, "x", new Uint8Array(8)]) {
      expect(send(thing, Uint8Array.of(1), undefined)).toBe(9); // EBADF
      expect(close(thing)).toBeUndefined();
    }
  });

  test("an error thrown by who receives is an uncaught exception, and the socket goes on", async () => {
    const script = `
      const { open, send } = require(${JSON.stringify(addon)});
      const address = Uint8Array.from([1, 0, 0, ...Buffer.from("nvet-throw-" + process.pid)]);
      let n = 0;
      const handle = open(1, 2, 0, 64, [], undefined, address, () => {
        if (++n === 2) process.exit(0);
        throw new Error("ours");
      });
      process.on("uncaughtException", ({ message }) => { process.stdout.write(message); send(handle, address, address); });
      send(handle, address, address);`;
    expect(await runNode(script)).toBe("ours");
  });

  test("ends with a worker thread that has it open", async () => {
    const worker = new Worker(`${opening}; setImmediate(() => process.exit(0))`, { eval: true });
    expect(await new Promise((resolve) => worker.once("exit", resolve))).toBe(0);
  });

  test("keeps its process running while open, and no longer", async () => {
    expect(
      await runNode(
        `${opening}; setTimeout(() => { process.stdout.write("on"); process.exit(0); }, 50).unref()`,
      ),
    ).toBe("on");
    expect(
      await runNode(`const handle = ${opening}; require(${JSON.stringify(addon)}).close(handle)`),
    ).toBe("");
  });
});

const program = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

test("a program ends by itself when its links are closed, idle as they are", async () => {
  const output = await runModule(program("link-idle-program.ts"), { timeoutMs: 20_000 });
  expect(output).toBe("packet up, pcap up, closed\n");
});

test("CAP_NET_RAW is enough for both links, and without it the error says so", async () => {
  const idle = program("link-idle-program.ts");
  // Whose files they are can read them, wherever the clone is; of root's rights the bounding set leaves one or none.
  const owner = ["setpriv", `--reuid=${statSync(idle).uid}`, "--clear-groups", "--no-new-privs"];
  const raw = [
    ...owner,
    "--inh-caps=-all,+net_raw",
    "--ambient-caps=-all,+net_raw",
    "--bounding-set=-all,+net_raw",
  ];
  expect(await runModule(idle, { via: raw })).toBe("packet up, pcap up, closed\n");
  const none = [...owner, "--inh-caps=-all", "--bounding-set=-all"];
  await expect(runModule(idle, { via: none })).rejects.toThrow(
    "open a packet socket: EPERM (not permitted: root or the capability CAP_NET_RAW, CAP_NET_ADMIN is needed)",
  );
});
