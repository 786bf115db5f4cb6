import { NvaConfig } from "@nve/nva/config";
import { parseConfig } from "@nve/program";
import { expect, test } from "vitest";

test("says little and gets the defaults", () => {
  expect(parseConfig("store: { use: memory }", NvaConfig)).toEqual({
    id: "nva",
    socket: "unix:/run/split-nve/nva.sock",
    store: { use: "memory" },
    holdSeconds: 120,
    migration: {
      holdSeconds: 30,
      forwardSeconds: 2,
      forwardMostSeconds: 60,
      suspended: "deliver",
    },
    log: "info",
  });
});

test("every key", () => {
  const text = `
id: nva-1
listen: { address: "[::]:7470", insecure: true }
socket: unix:/tmp/nva.sock
store: { use: lmdb, path: /var/lib/split-nve/nva }
holdSeconds: 30
log: debug`;
  expect(parseConfig(text, NvaConfig)).toMatchObject({
    id: "nva-1",
    listen: { address: "[::]:7470", insecure: true },
    store: { use: "lmdb", path: "/var/lib/split-nve/nva" },
  });
});

test.each([
  ["", /store/],
  ["store: { use: sqlite }", /use: memory, lmdb or etcd/],
  ["store: { use: lmdb }", /line 1: store\.path/],
  ["store: { use: lmdb, path: here }", /write it whole/],
  ["store: { use: memory, path: /x }", /unknown key "path"/],
  ["store: { use: memory }\nlisten: { address: '0.0.0.0:7470' }", /line 2: listen: say `tls: {/],
  ["store: { use: memory }\nlisten: { insecure: false }", /only `true` can stand here/],
  [
    "store: { use: memory }\nlisten: { insecure: true, tls: { certificate: /a, key: /b, ca: /c } }",
    /one of them/,
  ],
  [
    "store: { use: memory }\nlisten: { tls: { certificate: a, ca: /c } }",
    /listen.tls.certificate: write the file's whole path, from \/\n.*listen.tls.key: is missing/,
  ],
  ["store: { use: memory }\nlisten: { address: '7470', insecure: true }", /no address like/],
  ["store: { use: memory }\nlisten: { address: 'a:70000', insecure: true }", /no address like/],
  ["store: { use: memory }\nsocket: /run/x.sock", /unix:\/run/],
  ["store: { use: memory }\nholdSeconds: 0", /holdSeconds/],
  ["store: { use: memory }\nholdSecond: 9", /unknown key "holdSecond"/],
  ["store: { use: etcd, endpoints: [] }", /at least one, like 10.0.0.1:2379/],
  ["store: { use: etcd, endpoints: ['10.0.0.1:2379'], prefix: /a/ }", /does not end with it/],
  [
    "store: { use: etcd, endpoints: ['10.0.0.1:2379'] }",
    /line 1: store: say `tls: \{.*`insecure: true` for plain TCP on a network that only NVAs and etcd reach/,
  ],
  [
    "store: { use: etcd, endpoints: ['a:1'], insecure: true, tls: { certificate: /a, key: /b, ca: /c } }",
    /store: .*one of them/,
  ],
  ["store: { use: etcd, endpoints: ['a:1'], insecure: false }", /only `true` can stand here/],
  [
    "store: { use: etcd, endpoints: ['10.0.0.1:2379'], insecure: true }",
    /where the other replicas reach this/,
  ],
  ["store: { use: memory }\nid: 'a b'", /an id is 1 to 64 letters/],
])("%j is refused", (text, reason) => {
  expect(() => parseConfig(text, NvaConfig)).toThrow(reason);
});
