import { OutOfRange } from "@nve/protocol-spec";

export function attempt<In, Out>(
  make: (value: In) => Out,
  value: In,
  odd: (reason: string) => void,
): Out | undefined {
  try {
    return make(value);
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    odd(error.message);
    return undefined;
  }
}
