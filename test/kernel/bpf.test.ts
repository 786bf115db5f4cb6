import { readdirSync } from "node:fs";
import { Session } from "node:inspector";
import { fileURLToPath } from "node:url";
import {
  attachIngress,
  BpfError,
  type BpfObject,
  detachLeftover,
  interfaceIndex,
  ip,
  mac,
  openBpfObject,
  struct,
  u8,
  u16,
  u32,
  u64,
} from "@nve/linux/bpf";
import { IpAddress, Mac } from "@nve/protocol-spec";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { buildBpf, hasTcx, Namespace } from "./bpf-namespace.ts";

const path = fileURLToPath(new URL("../../switch-agent/build/tor.bpf.o", import.meta.url));
const fdbKey = struct({ vni: u32, mac, zero: u16 });
const place = struct({
  type: u8,
  encapsulation: u8,
  vid: u16,
  ifindex: u32,
  vtep: ip,
  owner: u32,
  flags: u32,
});
const vn = struct({
  ...{ n: u32, generation: u32, flags: u32, rules: u32, limits: u32 },
  ...{ policeCost: u64, policeBurst: u64 },
});
const handle = 0x4e56ff;

describe("BPF through libbpf", () => {
  let namespace: Namespace;
  const objects: BpfObject[] = [];
  const open = (options?: Parameters<typeof openBpfObject>[1]) => {
    const object = openBpfObject(path, options);
    objects.push(object);
    return object;
  };

  beforeAll(() => {
    buildBpf();
    namespace = new Namespace("bpf");
    namespace.ip("link add v0 type veth peer name v1");
    namespace.enter();
  });
  afterEach(() => {
    for (const object of objects.splice(0)) object.close();
  });
  afterAll(() => namespace.delete());

  test("a layout has C's padding", () => {
    expect([fdbKey.size, place.size, struct({ a: u8, b: u64 }).size]).toEqual([12, 32, 16]);
  });

  test("what is written to a map is read back, one by one and in order of nothing", () => {
    const fdb = open().map("fdb", fdbKey, place);
    const key = { vni: 0xffffff, mac: Mac("02:00:00:00:00:01"), zero: 0 };
    const some = { encapsulation: 0, owner: 5, flags: 1 };
    const v4 = { ...some, type: 2, vid: 0, ifindex: 0, vtep: IpAddress("192.0.2.1") };
    const v6 = { ...some, type: 3, vid: 4094, ifindex: 7, vtep: IpAddress("2001:db8::1") };
    expect(fdb.get(key)).toBeUndefined();
    fdb.set(key, v4);
    fdb.set({ ...key, vni: 1 }, v6);
    expect(fdb.get(key)).toEqual(v4);
    fdb.set(key, v6);
    expect([...fdb.entries()].map(([k]) => k.vni).sort()).toEqual([1, 0xffffff]);
    expect(fdb.get(key)).toEqual(v6);
    expect(fdb.delete(key)).toBe(true);
    expect(fdb.delete(key)).toBe(false);
  });

  test("3,000 entries in batches are all there", () => {
    const vns = open().map("vns", u32, vn);
    const value = (n: number) => ({
      n,
      generation: 2 * n,
      flags: 1,
      rules: 0,
      limits: 0,
      policeCost: 0,
      policeBurst: 0,
    });
    vns.setAll(Array.from({ length: 3000 }, (_, n) => [n, value(n)] as const));
    const all = new Map(vns.entries());
    expect(all.size).toBe(3000);
    expect(all.get(2999)).toEqual(value(2999));
  });

  test("keys that have the same value, in a row or not, and over the end of a batch", () => {
    const vns = open().map("vns", u32, vn);
    const one = {
      n: 7,
      generation: 7,
      flags: 7,
      rules: 0,
      limits: 0,
      policeCost: 0,
      policeBurst: 0,
    };
    const other = { ...one, n: 8, generation: 8, flags: 8 };
    const of = (key: number) => (Math.floor(key / 500) % 2 === 0 ? one : other);
    vns.setAll(Array.from({ length: 2500 }, (_, key) => [key, of(key)] as const));
    const wrong = [...vns.entries()].filter(([key, { n, flags }]) => {
      return n !== of(key).n || flags !== n;
    });
    expect(wrong).toEqual([]);
  });

  test("V10: a full map is a clear error", () => {
    const vns = open({ maxEntries: { vns: 2 } }).map("vns", u32, vn);
    const value = {
      n: 0,
      generation: 0,
      flags: 0,
      rules: 0,
      limits: 0,
      policeCost: 0,
      policeBurst: 0,
    };
    vns.set(1, value);
    vns.set(2, value);
    expect(() => vns.set(3, value)).toThrow("the map is full: it holds 2 entries");
    expect(() => vns.setAll([[4, value]])).toThrow(BpfError);
  });

  test("a value per CPU", () => {
    const drops = open().perCpuMap("drops", u32, u64);
    drops.set(3, 5);
    const values = drops.get(3) ?? [];
    expect(values.length).toBeGreaterThan(0);
    expect(new Set(values)).toEqual(new Set([5]));
  });

  test("values per CPU read in bulk, of a hash and of an array, are those read one by one", () => {
    const object = open();
    const counts = struct({ a: u64, b: u64, c: u64, d: u64, e: u64 });
    const hash = object.perCpuMap("vn_counts", u32, counts);
    const keys = Array.from({ length: 3000 }, (_, n) => 7 * n);
    for (const n of keys) hash.set(n, { a: n, b: n + 1, c: n + 2, d: n + 3, e: n + 4 });
    const all = new Map(hash.all(Number.POSITIVE_INFINITY));
    expect(all.size).toBe(3000);
    expect(keys.filter((n) => !sameCounts(all.get(n), hash.get(n)))).toEqual([]);
    const drops = object.perCpuMap("drops", u32, u64);
    for (let n = 0; n < 20; n++) drops.set(n, n * n);
    const bulk = [...drops.all(20)];
    expect(bulk.map(([n]) => n)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    for (const [n, values] of bulk) expect(values).toEqual(drops.get(n));
  });

  test.each([
    ["a map that is not there", () => open().map("nothing", u32, u32), "map nothing: ENOENT"],
    [
      "a key of another size",
      () => open().map("vns", u64, u32),
      "4 and 40 octets, expected 8 and 4",
    ],
    ["a program that is not there", () => open().program("nothing"), "program nothing: ENOENT"],
    ["a file that is not there", () => openBpfObject("/nonexistent"), "not built"],
    [
      "octets that are no object",
      () => openBpfObject(new Uint8Array(100)),
      "open object in memory",
    ],
  ])("%s is a clear error", (_, act, message) => {
    expect(act).toThrow(BpfError);
    expect(act).toThrow(message);
  });

  test("signals that come while the verifier works, as a profiler's, do not make it give up", () => {
    const session = new Session();
    session.connect();
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: 200 });
    session.post("Profiler.start");
    try {
      for (let times = 0; times < 5; times++) open();
    } finally {
      session.post("Profiler.stop");
      session.disconnect();
    }
  });

  test("the verifier's words are in the error, and no file is left open", () => {
    const before = openFiles();
    for (let i = 0; i < 5; i++) {
      expect(() => open({ maxEntries: { drops: 0 } })).toThrow(/load .*(EINVAL|drops)/s);
    }
    expect(openFiles()).toEqual(before);
  });

  describe.each(["tcx", "clsact", "auto"] as const)("attached by %s", (kind) => {
    const missing = kind === "tcx" && !hasTcx;

    test.skipIf(missing)("and detached, leaves nothing running and no file open", () => {
      const ifindex = interfaceIndex("v0") ?? 0;
      const before = openFiles();
      const object = openBpfObject(path);
      const attachment = attachIngress(object.program("tor_access"), ifindex, { kind, handle });
      expect(attachment.kind).toBe(kind === "auto" ? (hasTcx ? "tcx" : "clsact") : kind);
      attachment.detach();
      attachment.detach();
      object.close();
      expect(detachLeftover(ifindex, handle)).toBe(false);
      expect(openFiles()).toEqual(before);
    });

    test("to an interface that is not there is ENODEV", () => {
      const program = open().program("tor_access");
      expect(() => attachIngress(program, 9999, { kind, handle })).toThrow(/ENODEV|EINVAL/);
    });
  });

  test.skipIf(!hasTcx)("a clsact filter of an earlier run is replaced, by either way", () => {
    const ifindex = interfaceIndex("v0") ?? 0;
    const filters = () => namespace.run("tc", "filter", "show", "dev", "v0", "ingress");
    const program = () => open().program("tor_access");
    attachIngress(program(), ifindex, { kind: "clsact", handle });
    attachIngress(program(), ifindex, { kind: "clsact", handle });
    expect(filters().match(/handle 0x4e56ff/g)).toHaveLength(1);
    const tcx = attachIngress(program(), ifindex, { kind: "tcx", handle });
    expect(filters()).toBe("");
    tcx.detach();
  });
});

const openFiles = () => readdirSync("/proc/self/fd").length;

const sameCounts = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
