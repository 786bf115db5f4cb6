/** The kernel refused a call. `code` is errno's name. */
export class SystemError extends Error {
  override readonly name: string = "SystemError";
  readonly code: string;

  constructor(code: string, doing: string) {
    super(`${doing}: ${code}${hints[code] ?? ""}`);
    this.code = code;
  }
}

/** Something this machine lacks; the message says what to install. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

const hints: Readonly<Record<string, string>> = {
  EPERM: " (not permitted: root or the capability CAP_NET_RAW, CAP_NET_ADMIN is needed)",
  EACCES: " (not permitted: root or the capability CAP_NET_RAW, CAP_NET_ADMIN is needed)",
};
