import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "@nve/program/config";
import { IpPrefix, Mac, NveId, Uuid, Vid, VnId } from "@nve/protocol-spec";
import { configSchema } from "@nve/switch-agent/config";
import { type Binding, vnicNameOf } from "@nve/switch-agent/static/binding";
import { bindingFile } from "@nve/switch-agent/static/store";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const name = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");
const tor1 = NveId("tor1");

describe("VNIC Names of places", () => {
  const of = (nve: string, port: string, tag: number) =>
    vnicNameOf(NveId(nve), { port, tag: tag === 0 ? 0 : Vid(tag) });

  test("are the same each time: a UUID of version 5 (RFC 9562 §5.5)", () => {
    expect(of("tor1", "swp5", 20)).toBe(of("tor1", "swp5", 20));
    expect(of("tor1", "swp5", 0)).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-/,
    );
  });

  test("are unlike those of any other NVE, port or tag", () => {
    const places = ["tor1", "tor2", "tor1swp5"].flatMap((nve) =>
      ["swp5", "swp52", "5"].flatMap((port) => [0, 2, 20].map((tag) => of(nve, port, tag))),
    );
    expect(new Set(places).size).toBe(places.length);
  });
});

describe("config", () => {
  const withPort = (text: string) =>
    parseConfig(
      `{ vtep: 192.0.2.1, nva: { addresses: ["nva:7470"], insecure: true }, ports: [${text}] }`,
      configSchema(() => []),
    ).ports[0];
  const faults = (text: string): string => {
    try {
      withPort(text);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return "";
  };

  test("A11: a port, or a VLAN of it, belongs to a VN by ID or Name, with what is known to be there", () => {
    const macs = "[{ mac: 02:00:00:00:00:0A, ips: [10.0.0.1, 10.0.0.4-10.0.0.5] }]";
    const port = withPort(
      `{ name: swp5, static: [{ vn: 5001 }, { vn: ${name}, vlan: 20, macs: ${macs}, strict: true }] }`,
    );
    expect(port?.static).toEqual([
      { vn: 5001, tag: 0, macs: [], strict: false },
      {
        vn: name,
        tag: 20,
        macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1", "10.0.0.4/31"] }],
        strict: true,
      },
    ]);
  });

  test("an empty list is a port that is bound through the API alone, none is a port with VDP", () => {
    expect(withPort("{ name: swp5, static: [] }")?.static).toEqual([]);
    expect(withPort("{ name: swp5 }")?.static).toBeUndefined();
  });

  test.each([
    ["[{ vn: 5001 }, { vn: 5002 }]", "untagged frames are bound twice"],
    ["[{ vn: 5001, vlan: 7 }, { vn: 5002, vlan: 7 }]", "frames with tag 7 are bound twice"],
    ["[{ vn: 5001, vlan: 7 }, { vn: 5001 }]", "a VN is bound twice"],
    ["[{ vn: red }]", '"red" is neither a VN ID (a number) nor a VN Name (a UUID)'],
    ["[{ vn: 0 }]", "VN ID 0"],
    ["[{ vn: 5001, vlan: 0 }]", "VID 0"],
    ["[{ vn: 5001, macs: [{ mac: ff:ff:ff:ff:ff:ff }] }]", "is no address of a station"],
    ["[{ vn: 5001, macs: [{ mac: 02:00:00:00:00:0a, ips: [10] }] }]", "ips.0"],
    ["[{ vn: 5001, strict: true }]", "name one at least"],
    ["[{ vn: 5001, tag: 7 }]", 'unknown key "tag"'],
    ["[{}]", "static.0.vn"],
    ["7", "static"],
  ])("%s is refused: %s", (vns, fault) => {
    expect(faults(`{ name: swp5, static: ${vns} }`)).toContain(fault);
  });

  test("a binding of more addresses than the NVA takes of one VNIC is refused", () => {
    const macs = (count: number) =>
      Array.from({ length: count }, (_, n) => {
        const ips = Array.from({ length: 256 }, (_, m) => `10.${n}.${m}.1`);
        return `{ mac: 02:00:00:00:00:${hex(n)}, ips: [${ips.join()}] }`;
      });
    const vn = (count: number) => `{ name: swp5, static: [{ vn: 1, macs: [${macs(count)}] }] }`;
    expect(withPort(vn(64))?.static?.[0]?.macs).toHaveLength(64);
    expect(faults(vn(65))).toContain("a binding lists 16384 IPs at most");
  });

  test.each(["stations: 4", "tags: [100, 200]", "maxAddresses: 10", "checkSource: true"])(
    "%s beside static is refused: it would do nothing",
    (more) => {
      expect(faults(`{ name: swp5, static: [], ${more} }`)).toContain(
        `${more.split(":")[0]} would do nothing beside static`,
      );
      expect(withPort(`{ name: swp5, ${more} }`)?.static).toBeUndefined();
    },
  );
});

describe("state file", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bindings-"));
    path = join(folder, "bindings.json");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const bindings: Binding[] = [
    { port: "swp5", tag: 0, vn: VnId(5001), macs: [], strict: false },
    {
      port: "swp5",
      tag: Vid(20),
      vn: name,
      macs: [{ mac: Mac("02:00:00:00:00:0a"), ips: [IpPrefix("10.0.0.1"), IpPrefix("fd00::/64")] }],
      strict: true,
    },
    { port: "swp6", tag: Vid(20), vn: VnId(5002), macs: [], strict: false },
  ];

  test("keeps what it was given; where there is none, nothing was kept, and nothing is made", () => {
    const below = join(folder, "a/b");
    const store = bindingFile(below, tor1);
    expect(store.load()).toEqual([]);
    expect(existsSync(below)).toBe(false);
    store.save(bindings);
    expect(bindingFile(below, tor1).load()).toEqual(bindings);
    store.save([]);
    expect(bindingFile(below, tor1).load()).toEqual([]);
    expect(readdirSync(below)).toEqual(["bindings.json"]);
    expect(statSync(join(below, "bindings.json")).mode & 0o777).toBe(0o600);
  });

  test.each([
    ["cut off", (text: string) => text.slice(0, -20)],
    ["empty", () => ""],
    ["of something else", () => '["a"]'],
    ["of a later version", (text: string) => text.replace('"version": 1', '"version": 2')],
    ["with a VN that is none", (text: string) => text.replace("5001", "0")],
    [
      "with one place twice",
      (text: string) => text.replace(/"swp6"/, '"swp5"').replace("5002", "1"),
    ],
  ])("a file that is %s is refused with its path and what to do", (_, damage) => {
    bindingFile(folder, tor1).save(bindings);
    writeFileSync(path, damage(readFileSync(path, "utf8")));
    expect(() => bindingFile(folder, tor1).load()).toThrow(
      new RegExp(`^${path} is damaged: .*(mend the file, or move it away)`),
    );
  });

  test("a file of another NVE is refused", () => {
    bindingFile(folder, tor1).save(bindings);
    expect(() => bindingFile(folder, NveId("tor2")).load()).toThrow(
      `${path} is of NVE tor1, and this is tor2: name another stateDir`,
    );
  });

  test("what cannot be kept is refused, and the older file stays", () => {
    const store = bindingFile(folder, tor1);
    store.save(bindings);
    mkdirSync(`${path}.new`); // in the way of the new one
    expect(() => store.save([])).toThrow("the binding cannot be kept: EISDIR");
    expect(store.load()).toEqual(bindings);
  });

  test("more than the file may hold is refused when it is bound, not at the next start", () => {
    const store = bindingFile(folder, tor1);
    store.save(bindings);
    const mac = (n: number) => Mac(`02:00:00:00:${hex(n >> 8)}:${hex(n & 255)}`);
    const ips = Array.from({ length: 256 }, (_, n) => IpPrefix(`2001:db8::${n.toString(16)}`));
    const macs = Array.from({ length: 1024 }, (_, n) => ({ mac: mac(n), ips }));
    const many = [2, 3, 4].map(
      (tag): Binding => ({ port: "swp7", tag: Vid(tag), vn: VnId(tag), macs, strict: false }),
    );
    expect(() => store.save([...bindings, ...many])).toThrow(
      /^the binding cannot be kept: \d+ octets of bindings are too many, 16777216 are the most$/,
    );
    expect(store.load()).toEqual(bindings);
  });

  test("a file that is too long is not read, nor is what is no file waited for", () => {
    writeFileSync(path, "");
    truncateSync(path, 3 * 1024 ** 3);
    expect(() => bindingFile(folder, tor1).load()).toThrow("octets of bindings are too many");
    rmSync(path);
    execFileSync("mkfifo", [path]);
    expect(() => bindingFile(folder, tor1).load()).toThrow(`${path}: it is no file`);
  });
});

const hex = (n: number): string => n.toString(16).padStart(2, "0");
