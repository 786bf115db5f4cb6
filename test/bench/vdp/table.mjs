export function table(report) {
  return `${JSON.stringify(report)}\n`;
}
