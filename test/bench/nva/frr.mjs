export const frr = () => {
  throw new Error("not yet");
};
