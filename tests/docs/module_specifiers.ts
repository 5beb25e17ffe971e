/**
 * Module specifiers: what a TypeScript file imports and re-exports, read from its tokens. The scanner of TypeScript
 * knows comments, strings, templates and escapes. TypeScript 7 has no other part that reads a file within a program of
 * JavaScript, and calls this one unstable: a later version may have it at another path.
 *
 * @module
 */

import { SyntaxKind } from "typescript/unstable/ast";
import { createScanner } from "typescript/unstable/ast/scanner";

/** A module that a file names. */
export interface Reference {
  readonly specifier: string;
  /** `import type` and `export type` leave nothing in the program. `await import` loads when it is reached. */
  readonly kind: "static" | "type" | "dynamic";
}

/** What a file names, and which of its forms name a module that cannot be read from them, or by other means. */
export interface References {
  readonly references: readonly Reference[];
  readonly faults: readonly string[];
}

interface Token {
  readonly kind: SyntaxKind;
  /** The text without quotes and escapes. */
  readonly value: string;
}

const { StringLiteral, ImportKeyword, ExportKeyword, FromKeyword, TypeKeyword } = SyntaxKind;
const END: Token = { kind: SyntaxKind.EndOfFile, value: "" };
/** Tokens before which no regular expression begins: a slash after them divides. */
const OPERAND_ENDS: ReadonlySet<SyntaxKind> = new Set([
  StringLiteral,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.PlusPlusToken,
  SyntaxKind.MinusMinusToken,
  SyntaxKind.PrivateIdentifier,
  SyntaxKind.ThisKeyword,
  SyntaxKind.SuperKeyword,
  SyntaxKind.NullKeyword,
  SyntaxKind.TrueKeyword,
  SyntaxKind.FalseKeyword,
]);
/** Contextual keywords that an expression may follow; the others of them are names where a slash follows. */
const BEFORE_EXPRESSIONS: ReadonlySet<SyntaxKind> = new Set([SyntaxKind.AwaitKeyword, SyntaxKind.OfKeyword]);

/** Reads the references of a file. */
export function referencesOf(text: string): References {
  const references: Reference[] = [];
  const faults: string[] = [];
  const tokens = tokensOf(text, faults);
  const at = (i: number): Token => tokens[i] ?? END;

  /** The specifier after the `from` that ends the clause that begins at `i`. */
  const fromAfter = (i: number): string | undefined => {
    for (; i < tokens.length; i++) {
      if (at(i).kind === FromKeyword && at(i + 1).kind === StringLiteral) return at(i + 1).value;
      if (!isOfClause(at(i).kind)) return undefined;
    }
    return undefined;
  };

  const readCall = (i: number, isType: boolean) => {
    const isPlain = at(i + 2).kind === StringLiteral && at(i + 3).kind === SyntaxKind.CloseParenToken;
    if (isPlain) references.push({ specifier: at(i + 2).value, kind: isType ? "type" : "dynamic" });
    else faults.push("import() has one plain string");
  };

  const readImport = (i: number) => {
    const { kind, value } = at(i + 1);
    if (kind === SyntaxKind.DotToken) {
      if (at(i + 2).value !== "meta") faults.push("import has a known form");
    } else if (kind === SyntaxKind.OpenParenToken) {
      readCall(i, at(i - 1).kind === SyntaxKind.TypeOfKeyword);
    } else if (kind === StringLiteral) {
      references.push({ specifier: value, kind: "static" });
    } else {
      const specifier = fromAfter(i + 1);
      // `import type from "…"` imports a default that is called `type`.
      const { kind: next } = at(i + 2);
      const isName = next === SyntaxKind.CommaToken || (next === FromKeyword && at(i + 3).kind === StringLiteral);
      if (specifier === undefined) faults.push("import has a known form");
      else references.push({ specifier, kind: kind === TypeKeyword && !isName ? "type" : "static" });
    }
  };

  const readExport = (i: number) => {
    const isType = at(i + 1).kind === TypeKeyword;
    let from = isType ? i + 2 : i + 1;
    if (at(from).kind === SyntaxKind.OpenBraceToken) {
      while (from < tokens.length && at(from).kind !== SyntaxKind.CloseBraceToken) from++;
      // Without `from` the names are of this file.
      if (at(from + 1).kind !== FromKeyword || at(from + 2).kind !== StringLiteral) return;
    } else if (at(from).kind !== SyntaxKind.AsteriskToken) {
      return;
    }
    const specifier = fromAfter(from);
    if (specifier === undefined) faults.push("export has a known form");
    else references.push({ specifier, kind: isType ? "type" : "static" });
  };

  for (let i = 0; i < tokens.length; i++) {
    const { kind, value } = at(i);
    const isMember = at(i - 1).kind === SyntaxKind.DotToken || at(i - 1).kind === SyntaxKind.QuestionDotToken;
    const isLabel = at(i + 1).kind === SyntaxKind.ColonToken;
    // Members may be called so, too.
    if (kind === ImportKeyword && !isMember && !isLabel) readImport(i);
    if (kind === ExportKeyword && !isMember && !isLabel) readExport(i);
    if (value === "require" && kind !== StringLiteral && at(i + 1).kind === SyntaxKind.OpenParenToken) {
      faults.push("nothing calls require()");
    }
  }
  return { references, faults };
}

/** What may stand between `import` or `export` and `from`. */
function isOfClause(kind: SyntaxKind): boolean {
  return kind >= SyntaxKind.Identifier || kind === StringLiteral || kind === SyntaxKind.CommaToken ||
    kind === SyntaxKind.AsteriskToken || kind === SyntaxKind.OpenBraceToken || kind === SyntaxKind.CloseBraceToken;
}

/** The tokens without comments. Parts of templates are tokens, and so is all that stands in their braces. */
function tokensOf(text: string, faults: string[]): Token[] {
  const scanner = createScanner(false, undefined, text.replace(/^#!.*/, ""));
  const tokens: Token[] = [];
  /** Whether each open brace is one of a template. */
  const braces: boolean[] = [];
  for (let kind = scanner.scan(); kind !== SyntaxKind.EndOfFile; kind = scanner.scan()) {
    const last = tokens.at(-1)?.kind;
    if (isTrivia(kind)) {
      if (/^\/\/\/\s*</.test(scanner.getTokenText())) faults.push("no comment refers to a file or a library");
      continue;
    }
    if (kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) {
      const isMember = tokens.at(-2)?.kind === SyntaxKind.DotToken;
      if (last === undefined || !(isMember || endsOperand(last))) kind = scanner.reScanSlashToken();
    } else if (kind === SyntaxKind.OpenBraceToken || kind === SyntaxKind.TemplateHead) {
      braces.push(kind === SyntaxKind.TemplateHead);
    } else if (kind === SyntaxKind.CloseBraceToken) {
      if (braces.at(-1) === true) kind = scanner.reScanTemplateToken(false);
      if (kind !== SyntaxKind.TemplateMiddle) braces.pop();
    }
    if (scanner.isUnterminated() || kind === SyntaxKind.Unknown) faults.push("the file has whole tokens");
    tokens.push({ kind, value: scanner.getTokenValue() });
  }
  if (braces.length > 0) faults.push("the file closes its braces");
  return tokens;
}

function isTrivia(kind: SyntaxKind): boolean {
  return kind >= SyntaxKind.SingleLineCommentTrivia && kind <= SyntaxKind.ConflictMarkerTrivia;
}

function endsOperand(kind: SyntaxKind): boolean {
  if (OPERAND_ENDS.has(kind)) return true;
  const isReserved = kind >= SyntaxKind.BreakKeyword && kind <= SyntaxKind.WithKeyword;
  return kind >= SyntaxKind.Identifier && !isReserved && !BEFORE_EXPRESSIONS.has(kind);
}
