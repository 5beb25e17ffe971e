/**
 * Release notes: makes them of the changelog, and refuses a release whose texts do not agree.
 *
 * @module
 */

/** The texts that a release is made of. */
export interface ReleaseSources {
  /** The tag, `v` and a version. */
  readonly tag: string;
  /** The version in package.json. */
  readonly npmVersion: string;
  /** The version in jsr.json. */
  readonly jsrVersion: string;
  /** CHANGELOG.md. */
  readonly changelog: string;
  /** README.md. */
  readonly readme: string;
}

const REPOSITORY = "https://github.com/warp-mesh/bus";

/**
 * The notes of a release: the section of CHANGELOG.md on its version, with links that resolve outside the repository.
 *
 * Throws an `Error` when the tag is not the version of both manifests, when the changelog has no dated section of that
 * version, or when the README still calls it unreleased.
 */
export function releaseNotes({ tag, npmVersion, jsrVersion, changelog, readme }: ReleaseSources): string {
  for (const [manifest, version] of [["package.json", npmVersion], ["jsr.json", jsrVersion]] as const) {
    refuse(tag !== `v${version}`, tag, `the version in ${manifest} must be that of the tag`, version);
  }
  const lines = changelog.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`## [${npmVersion}]`));
  const heading = lines[start] ?? "no section";
  refuse(
    !/^## \[[^\]]+\] - \d{4}-\d{2}-\d{2}$/.test(heading),
    tag,
    `CHANGELOG.md must have a section "## [${npmVersion}] - YYYY-MM-DD"`,
    heading,
  );
  const refusal = `${npmVersion} is not released yet`;
  refuse(readme.includes(refusal), tag, "README.md must not call the version unreleased", refusal);
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => /^## |^\[[^\]]+\]: /.test(line));
  const notes = rest.slice(0, end < 0 ? rest.length : end).join("\n").trim();
  refuse(notes === "", tag, "the section of the version in CHANGELOG.md must say something", "nothing");
  return `${notes.replaceAll(/\]\((?![a-z]+:)([^)]+)\)/g, `](${REPOSITORY}/blob/${tag}/$1)`)}\n`;
}

function refuse(isWrong: boolean, tag: string, rule: string, value: string): void {
  if (isWrong) throw new Error(`Cannot release ${tag} as ${rule}: current value is ${value}`);
}
