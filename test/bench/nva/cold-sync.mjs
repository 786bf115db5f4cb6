export const coldSync = () => {
  throw new Error("not yet");
};
