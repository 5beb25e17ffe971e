// Release notes: the section of a version in a changelog, and what a release needs.
import { assertEquals, assertThrows } from "@std/assert";
import { describe, test } from "node:test";
import { releaseNotes, type ReleaseSources } from "../../scripts/release_notes.ts";

const CHANGELOG = `# Changelog

## [Unreleased]

- Not yet.

## [0.2.0] - 2027-01-31

What it is.

### Added

- See [Limits](README.md#limits) and [the standard](https://example.com/a).

## [0.1.0] - 2026-12-01

- The first.

[Unreleased]: https://example.com/0.2.0...HEAD
[0.1.0]: https://example.com/0.1.0
`;
const SOURCES: ReleaseSources = {
  tag: "v0.2.0",
  npmVersion: "0.2.0",
  jsrVersion: "0.2.0",
  changelog: CHANGELOG,
  readme: "npm install",
};

describe("release notes", () => {
  test("are the section of the version, with links into the tag", () => {
    const expected = `What it is.

### Added

- See [Limits](https://github.com/warp-mesh/bus/blob/v0.2.0/README.md#limits) and [the standard](https://example.com/a).
`;
    assertEquals(releaseNotes(SOURCES), expected);
  });

  test("of the last section end before the link references", () => {
    assertEquals(
      releaseNotes({ ...SOURCES, tag: "v0.1.0", npmVersion: "0.1.0", jsrVersion: "0.1.0" }),
      "- The first.\n",
    );
  });

  const refused: ReadonlyArray<readonly [title: string, change: Partial<ReleaseSources>, message: string]> = [
    ["a tag of another version", { tag: "v0.1.0" }, "the version in package.json must be that of the tag"],
    ["a tag without v", { tag: "0.2.0" }, "the version in package.json must be that of the tag"],
    ["no tag", { tag: "" }, "the version in package.json must be that of the tag"],
    ["manifests of two versions", { jsrVersion: "0.1.0" }, "the version in jsr.json must be that of the tag"],
    [
      "a version without a date",
      { changelog: CHANGELOG.replace(" - 2027-01-31", "") },
      'CHANGELOG.md must have a section "## [0.2.0] - YYYY-MM-DD": current value is ## [0.2.0]',
    ],
    [
      "a version that the changelog does not name",
      { changelog: CHANGELOG.replace("[0.2.0] -", "[0.2.1] -") },
      "current value is no section",
    ],
    [
      "an empty section",
      { changelog: "## [0.2.0] - 2027-01-31\n\n## [0.1.0] - 2026-12-01\n\n- The first.\n" },
      "the section of the version in CHANGELOG.md must say something",
    ],
    [
      "a README that calls the version unreleased",
      { readme: "0.2.0 is not released yet, so" },
      "README.md must not call the version unreleased",
    ],
  ];
  for (const [title, change, message] of refused) {
    test(`refuse ${title}`, () => {
      assertThrows(() => releaseNotes({ ...SOURCES, ...change }), Error, message);
    });
  }
});
