export { concat, decode, Reader, uint } from "./bytes.ts";
