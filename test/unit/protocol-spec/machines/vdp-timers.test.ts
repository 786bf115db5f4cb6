import { vdpTimes } from "@nve/protocol-spec";
import { expect, test } from "vitest";

test("the times of R=3, RTE=14, RWD=20, RKA=20", () => {
  expect(vdpTimes({ r: 3, rte: 14, rwd: 20, rka: 20 })).toEqual({
    ackTimeoutMs: 163.84,
    resourceWaitMs: 10485.76,
    responseWaitMs: 17448.96,
    reinitKeepaliveMs: 10485.76,
    keepaliveTimeoutMs: 17448.96,
  });
});

test("the times measured with lldpad at 3/12/16 and 3/12/16/20", () => {
  expect(vdpTimes({ r: 3, rte: 12, rwd: 16, rka: 18 }).responseWaitMs).toBeCloseTo(1413, 0);
  expect(vdpTimes({ r: 3, rte: 12, rwd: 16, rka: 18 }).reinitKeepaliveMs).toBeCloseTo(2621, 0);
  expect(vdpTimes({ r: 3, rte: 12, rwd: 16, rka: 20 }).keepaliveTimeoutMs).toBeCloseTo(16_159, 0);
});

test("the largest exponents of the wire do not overflow", () => {
  expect(vdpTimes({ r: 0, rte: 31, rwd: 31, rka: 31 }).reinitKeepaliveMs).toBe(21_474_836.48);
});
