/**
 * Publication: what a call of `publish` says has changed, a key or a prefix with its metadata, and the check of it.
 *
 * @module
 */

import { KeyTooLongError, misuse } from "../errors.ts";
import type { Topic } from "../events.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import { MAX_KEY, RECORD_HEADER_LENGTH } from "../wire/layout.ts";
import { checkMetadata, type Metadata, metadataLength } from "../wire/metadata.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";

/** What has changed. */
export interface Publication {
  /** The key, or the prefix. */
  readonly text: string;
  readonly isPrefix: boolean;
  /** Absent when nothing is attached. */
  readonly metadata: Metadata | undefined;
}

/** Longest metadata of one key or prefix, in bytes of its record: with it a key may still have 338 bytes. */
export const MAX_METADATA = 1024;

const TOPIC = knownOptions<Exclude<Topic, string>>({ prefix: true });

/**
 * Checks what is published.
 *
 * @throws {TypeError} when it is no well-formed string and no `{ prefix }`, or the metadata is of another type
 * @throws {RangeError} when the metadata is out of range
 * @throws {KeyTooLongError} when it does not fit a datagram with its metadata
 */
export function checkPublication(topic: Topic, attached: Metadata = {}): Publication {
  const isPrefix = typeof topic === "object" && topic !== null;
  const text: unknown = isPrefix ? topic.prefix : topic;
  const bytes = typeof text === "string" ? utf8Length(text) : ILL_FORMED;
  if (typeof text !== "string" || bytes === ILL_FORMED) {
    throw misuse("publish", "the key must be a well-formed string or { prefix: string }", topic);
  }
  if (isPrefix) checkKnown("publish", topic, TOPIC);
  const metadata = checkMetadata(attached);
  const length = metadata === undefined ? 0 : RECORD_HEADER_LENGTH + metadataLength(metadata);
  if (length > MAX_METADATA) {
    throw misuse("publish", `the metadata of a key must take at most ${MAX_METADATA} bytes`, length, true);
  }
  const limit = MAX_KEY - length - (isPrefix ? RECORD_HEADER_LENGTH : 0);
  if (bytes > limit) throw new KeyTooLongError(text, bytes, limit);
  return { text, isPrefix, metadata };
}

/** Checks a plain key, with the errors of {@linkcode checkPublication}, and returns it. */
export function checkKey(key: string): string {
  const bytes = utf8Length(key);
  if (bytes === ILL_FORMED || bytes > MAX_KEY) checkPublication(key);
  return key;
}

/**
 * Checks a key that stands for a prefix, for Go nodes.
 *
 * @throws {TypeError} when it is no well-formed string
 * @throws {KeyTooLongError} when it does not fit a datagram
 */
export function checkGoKey(key: string): Publication {
  if (typeof key !== "string") throw misuse("publish", "a key of `goKeys` must be a string", key);
  const publication = checkPublication(key);
  const limit = MAX_KEY - RECORD_HEADER_LENGTH - metadataLength({});
  const bytes = utf8Length(key);
  if (bytes > limit) throw new KeyTooLongError(key, bytes, limit);
  return publication;
}

/** Whether two events of one key differ in their vector clocks at most, so that one event can stand for both. */
export function isAlike(a: Metadata | undefined, b: Metadata | undefined): boolean {
  return a?.scope === b?.scope && a?.region === b?.region;
}
