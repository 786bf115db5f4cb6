/** What the demo has shown: printed as it happens, and all together at the end. */
export type Check = { check: string; requirements: string; passed: boolean; detail: string };

export type Report = {
  /** A part of the story begins. */
  heading(text: string): void;
  /** What happens, or what is seen. */
  say(text: string): void;
  /** Something that must hold. `requirements` are IDs of docs/requirements.md. */
  check(check: string, requirements: string, passed: boolean, detail: string): void;
  checks: readonly Check[];
};

type Paint = (text: string) => string;

/** Colours where a person reads along, none in a pipe or a file. */
export function createReport(print: (line: string) => void, colours: boolean): Report {
  const paint = (code: number): Paint =>
    colours ? (text) => `\x1b[${code}m${text}\x1b[0m` : String;
  const [bold, red, green, grey] = [paint(1), paint(31), paint(32), paint(90)];
  const checks: Check[] = [];
  return {
    checks,
    heading: (text) => print(`\n${bold(text)}`),
    say: (text) => print(grey(`  ${text}`)),
    check: (check, requirements, passed, detail) => {
      checks.push({ check, requirements, passed, detail });
      print(`  ${passed ? green("✓") : red("✗")} ${check}  ${grey(detail)}`);
    },
  };
}
