import { type Log, type Service, type Serving, serve, type Tls } from "@nve/program";
import type { NvaConfig } from "../config.ts";
import { guarded, type Refusal } from "./guard.ts";
import type { Door } from "./identity.ts";

/**
 * The same services at the unix socket and, where the config says so, over TCP; each call with the rights of who makes it.
 * What already listens is closed when another address cannot be used. @throws Refused
 */
export async function listenAt(
  { socket, listen }: Pick<NvaConfig, "socket" | "listen">,
  services: readonly Service[],
  tls: Tls | undefined,
  log: Log,
  refused: (refusal: Refusal) => void,
): Promise<Serving[]> {
  const behind = (door: Door) => services.map((service) => guarded(service, door, refused));
  const servers = [await serve(socket, behind("socket"))];
  if (listen === undefined) return servers;
  try {
    servers.push(await serve(listen.address, behind(tls ? "tls" : "plain"), { tls, log }));
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()));
    throw error;
  }
  if (tls === undefined)
    log.warn(
      { address: listen.address },
      "listening without TLS: whoever reaches this address may change everything",
    );
  return servers;
}
