/** Lets whatever else waits have its turn: whoever works long asks for it now and then, or keepalives come too late. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
