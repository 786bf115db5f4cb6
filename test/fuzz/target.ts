/** Something that takes octets from the wire, whatever they are. */
export type Target = {
  name: string;
  /** Good inputs to begin with. */
  seeds(): readonly Uint8Array[];
  /** @throws when what must always hold does not: that is a find */
  run(octets: Uint8Array): void | Promise<void>;
  /** The longest input that is tried, octets. */
  maxLength: number;
  /** How many inputs run in about the time that V8 takes to say what has run. */
  batch: number;
};
