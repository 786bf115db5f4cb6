export { checked, parseConfig, readConfig } from "./config.ts";
export { Conflict, Forbidden, NotFound, Refused, Usage } from "./errors.ts";
export { makeFolder } from "./folder.ts";
export { createLog, type Log } from "./log.ts";
export { type Column, few, type Output, show, showOne, toJson } from "./output.ts";
export { argument, runProgram, textArgument, untilSignal } from "./program.ts";
export {
  call,
  connect,
  type Secure,
  type Service,
  type Serving,
  serve,
  statusOf,
  unary,
} from "./rpc.ts";
export type { Tls } from "./tls.ts";
