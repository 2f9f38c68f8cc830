import { Buffer } from 'node:buffer';
import { rangeError, typeError, unwrap } from './errors.ts';
import { native } from './native.ts';
import * as validate from './validate.ts';

/** A JSON value; integers that a double cannot hold may be given as bigints. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/** What a client watches. */
export interface ResumeKeySource {
  /** Where the events come from: http or https. A path without a trailing slash gets one. */
  readonly baseUrl: string | URL;
  /** The type of the events, verbatim. */
  readonly eventType: string;
  /** Which events: any JSON. The order of members does not matter; `1` and `1.0` are equal. */
  readonly filter: JsonValue;
  /** Which schema they follow; absent and empty differ. */
  readonly schemaFingerprint?: string;
}

let create: (digest: Uint8Array, name?: string) => ResumeKey;
let digestOf: (key: unknown) => Uint8Array;

/**
 * Whose checkpoint it is: a SHA-256 digest and the version of the recipe that made it. Immutable.
 *
 * The recipe is that of the `aviso` client (crates.io, 2.x), so that both find the same key in a
 * shared file.
 */
export class ResumeKey {
  readonly #digest: Uint8Array;
  /** The digest, 64 lower-case hex digits. */
  readonly hex: string;
  /** The name that the key was made from, if it was. */
  declare readonly name?: string;

  static {
    create = (digest, name) => new ResumeKey(validate.ours, digest, name);
    digestOf = (key) => {
      if (typeof key === 'object' && key !== null && #digest in key) return key.#digest;
      throw typeError('the key must be a ResumeKey; make one with ResumeKey.named(name)');
    };
  }

  private constructor(token: symbol, digest: Uint8Array, name: string | undefined) {
    validate.calledByUs(token, 'ResumeKey.named(name), fromHex(hex) or derive(source)');
    this.#digest = digest;
    this.hex = Buffer.from(digest).toString('hex');
    if (name !== undefined) this.name = name;
    Object.freeze(this);
  }

  /**
   * The key of a name.
   *
   * @param name - 1 to 1,024 bytes of UTF-8.
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT for anything else.
   */
  static named(name: string): ResumeKey {
    const digest = unwrap(native.resumeKeyNamed(validate.text(name, 'the name')));
    return create(digest, name);
  }

  /**
   * The key with this digest.
   *
   * @param hex - 64 hex digits of either case.
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT for anything else.
   */
  static fromHex(hex: string): ResumeKey {
    return create(unwrap(native.resumeKeyFromHex(validate.text(hex, 'the hex form'))));
  }

  /**
   * The key of what a client watches. User, password, query and fragment of the URL do not count.
   *
   * @param source - What is watched.
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT for a URL that is not http or https, or a
   * filter that is not JSON.
   */
  static derive(source: ResumeKeySource): ResumeKey {
    const known = ['baseUrl', 'eventType', 'filter', 'schemaFingerprint'] as const;
    const { baseUrl, eventType, filter, schemaFingerprint } = validate.options<ResumeKeySource>(
      source,
      'the source',
      known,
    );
    const digest = native.resumeKeyDerive(
      validate.text(baseUrl instanceof URL ? baseUrl.href : baseUrl, 'baseUrl'),
      validate.text(eventType, 'eventType'),
      toJson(filter, 0),
      schemaFingerprint === undefined
        ? undefined
        : validate.text(schemaFingerprint, 'schemaFingerprint'),
    );
    return create(unwrap(digest));
  }

  /** Whether both are the same key; names do not count. */
  equals(other: unknown): boolean {
    return other instanceof ResumeKey && other.hex === this.hex;
  }

  /** The hex form. */
  toString(): string {
    return this.hex;
  }

  /** The hex form. */
  toJSON(): string {
    return this.hex;
  }
}

/** The digest of a key; fails for anything else, a string above all. */
export const keyDigest = (key: unknown): Uint8Array => digestOf(key);

/** A key from a digest that came out of a store. */
export const keyOf = (digest: Uint8Array, name?: string): ResumeKey => create(digest, name);

const NESTING_MAX = 127;

/** JSON text of a filter; refuses what JSON.stringify would turn to null or leave out. */
function toJson(value: unknown, depth: number): string {
  if (depth > NESTING_MAX) throw rangeError(`the filter nests deeper than ${NESTING_MAX} levels`);
  switch (typeof value) {
    case 'string':
      return JSON.stringify(validate.text(value, 'a string in the filter'));
    case 'number':
      if (!Number.isFinite(value)) throw rangeError(`the filter holds ${value}, which JSON cannot`);
      return JSON.stringify(value);
    case 'bigint':
      return toJson(Number(value), depth);
    case 'boolean':
      return String(value);
    case 'object':
      return value === null ? 'null' : objectToJson(value, depth + 1);
    case 'undefined':
    case 'function':
    case 'symbol':
      throw typeError(`the filter holds a value of type ${typeof value}, which JSON cannot`);
  }
}

function objectToJson(value: object, depth: number): string {
  if (Array.isArray(value)) return `[${value.map((item) => toJson(item, depth)).join(',')}]`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw typeError('the filter holds an object that is not a plain one');
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const texts = members.map(([name, member]) => {
    const quoted = JSON.stringify(validate.text(name, 'a name in the filter'));
    return `${quoted}:${toJson(member, depth)}`;
  });
  return `{${texts.join(',')}}`;
}
