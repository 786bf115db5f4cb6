import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectQmp, type QmpEvent, QmpGone, QmpRefused, queryStatus } from "@nve/linux/qmp/index";
import { LineCutter } from "@nve/linux/qmp/lines";
import { readQmpMessage } from "@nve/linux/qmp/message";
import { afterEach, beforeEach, expect, test } from "vitest";

const GREETING = '{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":22}},"capabilities":[]}}';

type Asked = { execute: string; id: number; arguments?: unknown };

let folder = "";
let path = "";
let server: Server;
const sockets: Socket[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "qmp-"));
  path = join(folder, "vm.qmp");
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.close();
  rmSync(folder, { recursive: true });
});

/** A monitor that greets and answers each command as told. */
async function monitor(
  answer: (asked: Asked) => string | undefined,
  greeting = `${GREETING}\r\n`,
): Promise<(text: string | Buffer) => void> {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write(greeting);
    socket.on("data", (piece) => {
      for (const line of piece.toString("utf8").split("\n").filter(Boolean)) {
        const asked = JSON.parse(line) as Asked;
        const reply =
          asked.execute === "qmp_capabilities" ? `{"return":{},"id":${asked.id}}` : answer(asked);
        if (reply !== undefined) socket.write(`${reply}\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return (text) => sockets[0]?.write(text);
}

const running = ({ id }: Asked) => `{"return":{"running":true,"status":"running"},"id":${id}}`;

test("greets, negotiates, and answers come to who asked", async () => {
  await monitor(({ id, arguments: args }) => `{"id":${id},"return":${JSON.stringify(args)}}`);
  const qmp = await connectQmp({ path });
  expect(qmp.version).toBe("7.2.22");
  const answers = await Promise.all([qmp.execute("a", { n: 1 }), qmp.execute("b", { n: 2 })]);
  expect(answers).toEqual([{ n: 1 }, { n: 2 }]);
  qmp.close();
  expect(await qmp.ended).toBeUndefined();
  await expect(qmp.execute("c")).rejects.toThrow("ended here");
});

test("a refused command says which, why and of what class; the conversation goes on", async () => {
  await monitor(({ id, execute }) =>
    execute === "query-status"
      ? running({ id, execute })
      : `{"id":${id},"error":{"class":"CommandNotFound","desc":"The command nonsense has not been found"}}`,
  );
  const qmp = await connectQmp({ path });
  const refused = await qmp.execute("nonsense").catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(QmpRefused);
  expect(refused).toMatchObject({ command: "nonsense", errorClass: "CommandNotFound" });
  expect(await queryStatus(qmp)).toEqual({ running: true, status: "running" });
  qmp.close();
});

test("events come in their order, with QEMU's time, also when they come octet by octet", async () => {
  const say = await monitor(running);
  const heard: QmpEvent[] = [];
  const qmp = await connectQmp({ path, onEvent: (event) => heard.push(event) });
  const text = `{"event":"STOP","timestamp":{"seconds":10,"microseconds":2500}}\r\n{"event":"MIGRATION","data":{"status":"completed","note":"ü"}}\r\n`;
  for (const octet of Buffer.from(text)) say(Buffer.of(octet));
  while (heard.length < 2) await queryStatus(qmp);
  expect(heard).toMatchObject([
    { name: "STOP", data: {}, unixMs: 10_002 },
    { name: "MIGRATION", data: { status: "completed", note: "ü" }, unixMs: undefined },
  ]);
  qmp.close();
});

test.each([
  ["no JSON", "what came is not JSON", "{nonsense\r\n"],
  ["JSON that is no object", "no JSON object", "[1]\r\n"],
  ["another protocol", "no greeting, answer or event", '{"hello":1}\r\n'],
  ["deep nesting", "what came is not JSON", `${"[".repeat(500_000)}\r\n`],
  ["a line without end", "longer than 4194304 octets", "x".repeat((4 << 20) + 1)],
])("%s ends the conversation with a clear reason", async (_, why, text) => {
  const say = await monitor(() => undefined);
  const qmp = await connectQmp({ path });
  const asked = qmp.execute("query-status").catch((error: unknown) => error);
  say(text);
  const reason = await qmp.ended;
  expect(reason).toBeInstanceOf(QmpGone);
  expect(reason?.message).toContain(why);
  expect(await asked).toBe(reason);
});

test("QEMU that goes ends it, and who waits for an answer is told", async () => {
  await monitor(() => undefined);
  const qmp = await connectQmp({ path });
  const asked = qmp.execute("query-status");
  sockets[0]?.end();
  await expect(asked).rejects.toThrow("QEMU closed the connection");
});

test("no socket, no greeting, no answer: each is said, none is waited for longer than told", async () => {
  await expect(connectQmp({ path })).rejects.toThrow("ENOENT");
  await monitor(() => undefined, "");
  await expect(connectQmp({ path, timeoutMs: 20 })).rejects.toThrow("serves one at a time");
  server.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  path = join(folder, "other.qmp");
  await monitor(() => undefined);
  const qmp = await connectQmp({ path });
  await expect(qmp.execute("stop", {}, 20)).rejects.toThrow("no answer to stop in 20 ms");
  expect((await qmp.ended)?.message).toContain("no answer to stop");
});

test("an answer that is not what the schema says is no status", async () => {
  await monitor(({ id }) => `{"return":[],"id":${id}}`);
  const qmp = await connectQmp({ path });
  await expect(queryStatus(qmp)).rejects.toThrow("not what its schema says");
  qmp.close();
});

test("lines are cut wherever the pieces end, and one that is too long is not kept", () => {
  const cutter = new LineCutter(5);
  expect(cutter.cut(Buffer.from("ab"))).toEqual([]);
  expect(cutter.cut(Buffer.from("cde\nf\n\ngh"))).toEqual(["abcde", "f", ""]);
  expect(cutter.cut(Buffer.from("ijk"))).toEqual([]);
  expect(cutter.cut(Buffer.from("l"))).toBeUndefined();
});

test("an answer to nobody's question has no id", () => {
  expect(readQmpMessage('{"error":{"class":"GenericError","desc":"bad"}}')).toMatchObject({
    is: "error",
    id: undefined,
    reason: "bad",
  });
  expect(readQmpMessage('{"return":1}')).toBe("what came is no greeting, answer or event");
});
