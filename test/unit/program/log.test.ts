import { createLog } from "@nve/program/log";
import { expect, test } from "vitest";

function setUp(level = "info") {
  const lines: Record<string, unknown>[] = [];
  let ms = 0;
  const to = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLog("agent", level, to, () => ms);
  return { log, lines, pass: (more: number) => (ms += more) };
}

test("lines keep their fields and texts", () => {
  const { log, lines } = setUp();
  log.info({ vn: 7 }, "VN created");
  log.warn("no fields");
  log.child({ port: "swp1" }).error({ err: new Error("why") }, "failed");
  expect(lines).toEqual([
    expect.objectContaining({ level: 30, name: "agent", vn: 7, msg: "VN created" }),
    expect.objectContaining({ level: 40, msg: "no fields" }),
    expect.objectContaining({
      port: "swp1",
      err: expect.objectContaining({ message: "why" }),
      msg: "failed",
    }),
  ]);
});

test("V10: of a flood of lines of one kind 500 are written and 10 a second, which say how many were left out", () => {
  const { log, lines, pass } = setUp();
  for (let i = 0; i < 10_000; i++) log.warn({ port: "swp1", vnic: i }, "VSI refused");
  expect(lines).toHaveLength(500);
  pass(100);
  log.warn({ port: "swp1" }, "VSI refused");
  expect(lines.at(-1)).toMatchObject({ port: "swp1", msg: "VSI refused", leftOut: 9500 });
  log.warn({ port: "swp1" }, "VSI refused");
  expect(lines).toHaveLength(501);
  pass(60_000);
  log.warn({ port: "swp1" }, "VSI refused");
  log.warn({ port: "swp1" }, "VSI refused");
  expect(lines.slice(501)).toEqual([
    expect.objectContaining({ leftOut: 1 }),
    expect.not.objectContaining({ leftOut: expect.anything() }),
  ]);
});

test("a flood on one port, or of one kind, hides nothing of the others", () => {
  const { log, lines } = setUp();
  const flooded = log.child({ port: "swp1" });
  for (let i = 0; i < 10_000; i++) flooded.info("neighbour new");
  log.child({ port: "swp2" }).info("neighbour new");
  flooded.info("link down");
  log.info({ port: "swp2" }, "neighbour new");
  expect(lines.slice(500).map(({ port, msg }) => [port, msg])).toEqual([
    ["swp2", "neighbour new"],
    ["swp1", "link down"],
    ["swp2", "neighbour new"],
  ]);
});

test("debug and trace are asked for, and whole", () => {
  const { log, lines } = setUp("trace");
  for (let i = 0; i < 1000; i++) {
    log.debug("a frame");
    log.trace("an octet");
  }
  expect(lines).toHaveLength(2000);
});
