/** QEMU refused a command. `errorClass` is QAPI's: "GenericError", "CommandNotFound", "DeviceNotActive", … */
export class QmpRefused extends Error {
  override readonly name = "QmpRefused";
  readonly command: string;
  readonly errorClass: string;

  constructor(command: string, errorClass: string, reason: string) {
    super(`QEMU refuses ${command}: ${reason}`);
    this.command = command;
    this.errorClass = errorClass;
  }
}

/** There is no conversation (any more): no socket, no greeting, no answer, or what came was not QMP. */
export class QmpGone extends Error {
  override readonly name = "QmpGone";
  /** errno's name, where the kernel refused: "ENOENT", "ECONNREFUSED": nobody listens there. */
  readonly code: string | undefined;

  constructor(reason: string, code?: string) {
    super(reason);
    this.code = code;
  }
}
