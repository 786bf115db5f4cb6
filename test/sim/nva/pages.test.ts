import { call } from "@nve/program";
import { CreateVnRequest } from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claim, type Rig, rig } from "./rig.ts";

let nva: Rig;
beforeEach(async () => {
  nva = await rig();
  for (const alias of ["blue", "red"])
    await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias }));
});
afterEach(() => nva.stop());

type Page = { rows: string[]; nextPageToken: string };

const of = (one: { vnId: number; mac: Buffer } | undefined): string =>
  `${one?.vnId} ${one?.mac.readUInt16BE(4)}`;

async function mappings(pageSize: number, pageToken: string): Promise<Page> {
  const request = { vn: undefined, pageSize, pageToken };
  const answer = await call(nva.northbound, nva.northbound.listMappings, request);
  return { rows: answer.mappings.map(of), nextPageToken: answer.nextPageToken };
}

async function claims(pageSize: number, pageToken: string): Promise<Page> {
  const request = { vn: undefined, pageSize, pageToken };
  const answer = await call(nva.northbound, nva.northbound.listClaims, request);
  const rows = answer.claims.map((one) => `${of(one.claim)} ${one.source}`);
  return { rows, nextPageToken: answer.nextPageToken };
}

async function everyPage(ask: typeof mappings, pageSize: number): Promise<string[][]> {
  const pages: string[][] = [];
  let token = "";
  do {
    const { rows, nextPageToken } = await ask(pageSize, token);
    pages.push(rows);
    token = nextPageToken;
  } while (token !== "");
  return pages;
}

test("lists come in pages, over all VNs, and the claims of one address in one page", async () => {
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const tor2 = await nva.nve("tor2", "10.0.0.2");
  await tor1.told({ claims: [claim(1), claim(2), claim(3), claim(1, { vnId: 2 })] });
  await tor2.told({ claims: [claim(2)] });
  expect(await everyPage(mappings, 2)).toEqual([
    ["1 1", "1 2"],
    ["1 3", "2 1"],
  ]);
  expect(await everyPage(claims, 2)).toEqual([
    ["1 1 nve:tor1", "1 2 nve:tor1", "1 2 nve:tor2"],
    ["1 3 nve:tor1", "2 1 nve:tor1"],
  ]);
  expect(await everyPage(claims, 0)).toHaveLength(1);
});

test("H8: a page is shorter where addresses have very many prefixes", async () => {
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const prefixes = Array.from({ length: 10_000 }, (_, i) => ({
    ip: Buffer.from([0xfd, 0, i >> 8, i & 255, ...new Array(12).fill(0)]),
    length: 64,
  }));
  for (const n of [1, 2, 3, 4, 5]) await tor1.told({ claims: [claim(n, { prefixes })] });
  for (const ask of [mappings, claims]) {
    const pages = await everyPage(ask, 1000);
    expect(pages.flat()).toHaveLength(5);
    expect(Math.max(...pages.map(({ length }) => length))).toBeLessThan(5);
  }
}, 30_000);

test("V10: no page token or size but this server's own", async () => {
  await expect(claims(10, "x")).rejects.toThrow("page_token");
  await expect(claims(1001, "")).rejects.toThrow("page_size");
});
