/** The operator's fault or a refusal: one message that says what is wrong and what to do. Exit code 1. */
export class Refused extends Error {
  override readonly name: string = "Refused";
}

/** The command line asks for what cannot be meant: --help tells what can. Exit code 2. */
export class Usage extends Refused {
  override readonly name = "Usage";
}

/** Who asks may not. */
export class Forbidden extends Refused {
  override readonly name = "Forbidden";
}

/** What was asked for is not there. */
export class NotFound extends Refused {
  override readonly name = "NotFound";
}

/** It is not as it was when it was read: read it again, then try again. */
export class Conflict extends Refused {
  override readonly name = "Conflict";
}
