import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QmpWatcher } from "@nve/hypervisor-agent/qmp/watcher";
import { systemClock } from "@nve/linux";
import { createLog } from "@nve/program/log";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/lab.ts";

const GREETING =
  '{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":22}},"capabilities":[]}}\n';
const MAC = "02:00:00:00:00:01";

/** A QEMU as far as its monitor goes. */
class Monitor {
  run = "running";
  migration = "none";
  /** Said behind the next answer, in one piece with it: it runs then. */
  behind = "";
  questions = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(path: string) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.write(GREETING);
      socket.on("data", (piece) => {
        for (const line of piece.toString("utf8").split("\n").filter(Boolean)) {
          const { execute, id } = JSON.parse(line) as { execute: string; id: number };
          const value = this.#answer(execute);
          const extra = execute === "query-migrate" ? this.behind : "";
          if (extra !== "") {
            this.behind = "";
            this.run = "running";
          }
          socket.write(`${JSON.stringify({ return: value, id })}\n${extra}`);
        }
      });
    });
    this.#server.listen(path);
  }

  say(event: string, status?: string): void {
    const data = status === undefined ? {} : { status };
    for (const socket of this.#sockets) socket.write(`${JSON.stringify({ event, data })}\n`);
  }

  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  close(): void {
    this.#server.close();
    this.hangUp();
  }

  #answer(command: string): unknown {
    if (command === "query-status") {
      this.questions += 1;
      return { running: this.run === "running", status: this.run };
    }
    if (command === "query-migrate") return { status: this.migration };
    return command === "query-rx-filter" ? [{ name: "nic0", "main-mac": MAC }] : {};
  }
}

let folder = "";
let watcher: QmpWatcher;
let monitor: Monitor;
let told: string[] = [];
const path = () => join(folder, "vm1.qmp");
const describeVm = (text: string) => writeFileSync(join(folder, "vms", "vm1.yaml"), text);
const tellsLast = (what: string) =>
  until(`${what} to be told, not ${told.join(", ")}`, () => told.at(-1) === what || undefined);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "watcher-"));
  mkdirSync(join(folder, "vms"));
  told = [];
  describeVm("vnics: [{ interface: tap0, nic: nic0, vn: 7 }]");
  monitor = new Monitor(path());
});
afterEach(() => {
  watcher?.close();
  monitor.close();
  rmSync(folder, { recursive: true });
});
const watch = () => {
  watcher = new QmpWatcher({
    ...{ vms: join(folder, "vms"), sockets: folder, clock: systemClock },
    log: createLog("test", "silent"),
    want: (vm, { interface: of }, stage) => told.push(`${vm} ${of} ${stage ?? "gone"}`),
  });
};

test("a VM's way through a migration, and its end", async () => {
  watch();
  await tellsLast("vm1 tap0 active");
  monitor.say("MIGRATION", "active");
  monitor.run = "finish-migrate";
  monitor.migration = "active";
  monitor.say("STOP");
  await tellsLast("vm1 tap0 suspended");
  monitor.run = "postmigrate";
  monitor.migration = "completed"; // and the event of it is lost
  await tellsLast("vm1 tap0 gone");
  expect(told).toEqual(["vm1 tap0 active", "vm1 tap0 suspended", "vm1 tap0 gone"]);
});

test("an answer that an event has overtaken, in the same piece, counts for nothing", async () => {
  monitor.run = "inmigrate";
  monitor.behind = '{"event":"RESUME"}\n';
  watch();
  await tellsLast("vm1 tap0 active");
  expect(told).toEqual(["vm1 tap0 active"]);
});

test("a monitor that hangs up and is there again changes nothing; one that is gone does", async () => {
  watch();
  await tellsLast("vm1 tap0 active");
  monitor.hangUp();
  const before = monitor.questions;
  await until("it to be asked again", () => monitor.questions > before || undefined);
  expect(told.every((one) => one === "vm1 tap0 active")).toBe(true);
  monitor.close();
  await tellsLast("vm1 tap0 gone");
});

test("a slip in its file cuts off no VM; without its file it is gone; a new one is found", async () => {
  watch();
  await tellsLast("vm1 tap0 active");
  describeVm("vnics: nonsense");
  describeVm("vnics: [{ interface: tap1, nic: nic0, vn: 7 }]");
  await tellsLast("vm1 tap1 active");
  expect(told).not.toContain("vm1 tap0 gone"); // the same VNIC, moved to another tap
  rmSync(join(folder, "vms", "vm1.yaml"));
  await tellsLast("vm1 tap1 gone");
});

test("a NIC that QEMU does not know is no VNIC, until its file is right", async () => {
  describeVm("vnics: [{ interface: tap0, nic: nic9, vn: 7 }]");
  watch();
  await until("it to be asked", () => monitor.questions >= 0 || undefined);
  describeVm(`vnics: [{ interface: tap0, mac: "${MAC}", vn: 7 }]`);
  await tellsLast("vm1 tap0 active");
  expect(told).toEqual(["vm1 tap0 active"]);
});
