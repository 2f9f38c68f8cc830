// Bad input is refused here, before anything is touched.
import { isUint8Array } from 'node:util/types';
import { rangeError, typeError } from './errors.ts';

const UINT64_MAX = 2n ** 64n - 1n;
const UINT32_MAX = 2 ** 32 - 1;

/** Known to this package alone. */
export const ours: unique symbol = Symbol('ours');

/** Fails unless a constructor was called by this package; anything may call it in JavaScript. */
export function calledByUs(token: unknown, instead: string): void {
  if (token !== ours) throw typeError(`there is no public constructor: call ${instead}`);
}

/** How a value looks in a message. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** An unsigned 64-bit number: a bigint, or an integer that a double holds exactly. */
export function uint64(value: unknown, name: string): bigint {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) {
      throw rangeError(`${name} must be a bigint or a safe integer, not ${show(value)}`);
    }
    value = BigInt(value);
  }
  if (typeof value !== 'bigint') {
    throw typeError(`${name} must be a bigint or a safe integer, not ${show(value)}`);
  }
  if (value < 0n || value > UINT64_MAX) {
    throw rangeError(`${name} must be between 0 and 2^64 - 1, not ${show(value)}`);
  }
  return value;
}

/** The number of an entry: as {@link uint64}, from 1. */
export function lsn(value: unknown, name: string): bigint {
  const number = uint64(value, name);
  if (number === 0n) throw rangeError(`${name} must be at least 1: LSNs start there`);
  return number;
}

/** Bytes. By what it is, not by its prototype: one of another realm is one, a proxy is none. */
export function bytes(value: unknown, name: string): Uint8Array {
  if (isUint8Array(value)) return value;
  throw typeError(`${name} must be a Uint8Array, not ${show(value)}`);
}

/** A string that UTF-8 can hold. */
export function text(value: unknown, name: string): string {
  if (typeof value !== 'string') throw typeError(`${name} must be a string, not ${show(value)}`);
  // Well-formed means without lone surrogates; the library of ES2023 does not name the method yet.
  if (!(value as string & { isWellFormed(): boolean }).isWellFormed()) {
    throw typeError(`${name} contains a lone surrogate, which UTF-8 cannot hold`);
  }
  return value;
}

/** Fails unless the value is an object of known options: a misspelt one is a bug. */
export function options<T extends object>(
  value: unknown,
  name: string,
  known: readonly (keyof T & string)[],
): T {
  if (value === undefined) return {} as T;
  // In the place of { signal } they have no known option either, and would abort nothing.
  const isAbort = value instanceof AbortSignal || value instanceof AbortController;
  const mistaken = Array.isArray(value) || isAbort;
  if (typeof value !== 'object' || value === null || mistaken) {
    throw typeError(`${name} must be an object of options, not ${show(value)}`);
  }
  for (const option of Object.keys(value)) {
    if (!(known as readonly string[]).includes(option)) {
      throw typeError(`${name} has no ${show(option)}; it knows ${known.join(', ')}`);
    }
  }
  return value as T;
}

/** An integer within a range, or what stands for it when it is not given. */
export function integer(
  value: unknown,
  name: string,
  range: { min?: number; max?: number; otherwise: number },
): number {
  const { min = 0, max = UINT32_MAX, otherwise } = range;
  if (value === undefined) return otherwise;
  if (typeof value !== 'number') throw typeError(`${name} must be a number, not ${show(value)}`);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw rangeError(`${name} must be an integer from ${min} to ${max}, not ${show(value)}`);
  }
  return value;
}

/** A flag, or what stands for it when it is not given. */
export function flag(value: unknown, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw typeError(`${name} must be a boolean, not ${show(value)}`);
  return value;
}

/** One of some words, or the first of them when it is not given. */
export function word<const T extends string>(
  value: unknown,
  name: string,
  words: readonly [T, ...T[]],
): T {
  if (value === undefined) return words[0];
  const found = words.find((known) => known === value);
  if (found === undefined) {
    throw typeError(`${name} must be ${words.map(show).join(' or ')}, not ${show(value)}`);
  }
  return found;
}

/** An `AbortSignal`, if one is given. */
export function signal(value: unknown): AbortSignal | undefined {
  if (value === undefined || isSignal(value)) return value;
  throw typeError(`signal must be an AbortSignal, not ${show(value)}`);
}

/** Whether it is a signal, and does not merely inherit from one: then its members throw. */
function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal && typeof value.aborted === 'boolean';
  } catch {
    return false;
  }
}
