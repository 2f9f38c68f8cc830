// Errors as callers see them. The core decides the code; this file makes the Error of it, at the
// await, so that the stack names the caller.
import type { Failure } from '#binding';

/** The stable codes of errors; messages are not API. `docs/errors.md` has a heading for each. */
export type ErrorCode =
  | 'TIDEMARK_INVALID_ARGUMENT'
  | 'TIDEMARK_LOCKED'
  | 'TIDEMARK_LOCK_TIMEOUT'
  | 'TIDEMARK_CLOSED'
  | 'TIDEMARK_CORRUPT'
  | 'TIDEMARK_DECODE'
  | 'TIDEMARK_UNSUPPORTED_FILE_VERSION'
  | 'TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION'
  | 'TIDEMARK_INVALID_RESUME_KEY'
  | 'TIDEMARK_TOO_LARGE'
  | 'TIDEMARK_NO_SPACE'
  | 'TIDEMARK_IO'
  | 'TIDEMARK_POISONED'
  | 'TIDEMARK_EXPIRED'
  | 'TIDEMARK_CONFLICT'
  | 'TIDEMARK_NOT_FOUND'
  | 'TIDEMARK_UNSUPPORTED'
  | 'TIDEMARK_ADDON_NOT_FOUND'
  | 'TIDEMARK_INTERNAL';

/** Every code, with what it means in a word. */
const CODES: Readonly<Record<ErrorCode, string>> = {
  TIDEMARK_INVALID_ARGUMENT: 'an argument is not what the documentation asks for',
  TIDEMARK_LOCKED: 'another process has the store open',
  TIDEMARK_LOCK_TIMEOUT: 'the lock was not granted in time',
  TIDEMARK_CLOSED: 'it is closed',
  TIDEMARK_CORRUPT: 'bytes on the medium fail their checksum',
  TIDEMARK_DECODE: 'a file is not what its format asks for',
  TIDEMARK_UNSUPPORTED_FILE_VERSION: 'the file has another format version',
  TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION: 'keys have another format version',
  TIDEMARK_INVALID_RESUME_KEY: 'the file holds something that is not a key',
  TIDEMARK_TOO_LARGE: 'a limit of the format is exceeded',
  TIDEMARK_NO_SPACE: 'the device or the quota is full',
  TIDEMARK_IO: 'the operating system answered with an error',
  TIDEMARK_POISONED: 'an earlier failure left an outcome unknown',
  TIDEMARK_EXPIRED: 'what was asked for was purged',
  TIDEMARK_CONFLICT: 'the request contradicts what is there',
  TIDEMARK_NOT_FOUND: 'nothing is there',
  TIDEMARK_UNSUPPORTED: 'this store or system cannot do that',
  TIDEMARK_ADDON_NOT_FOUND: 'there is no native addon for this platform',
  TIDEMARK_INTERNAL: 'a bug in Tidemark',
};

/** What is known about an error beside its code. */
export interface ErrorDetails {
  /** The path that it happened on. */
  readonly path?: string;
  /** The offset in the file, in bytes. */
  readonly offset?: bigint;
  /** The sequence that it is about. */
  readonly sequence?: bigint;
  /** The number that the operating system answered with. */
  readonly errno?: number;
  /** The system call that failed. */
  readonly syscall?: string;
  /** The process that holds the lock, where the system tells. */
  readonly holder?: number;
  /** True if the outcome is unknown: it may or may not have reached the medium. */
  readonly indeterminate?: true;
}

/**
 * Everything that goes wrong beside a caller's mistake, which is a `TypeError` or a `RangeError`
 * with the code `TIDEMARK_INVALID_ARGUMENT`.
 */
export class TidemarkError extends Error implements ErrorDetails {
  /** `TidemarkError`, for whoever prints it; the class and the code tell errors apart. */
  override readonly name: string = 'TidemarkError';
  /** The stable code. */
  readonly code: ErrorCode;
  declare readonly path?: string;
  declare readonly offset?: bigint;
  declare readonly sequence?: bigint;
  declare readonly errno?: number;
  declare readonly syscall?: string;
  declare readonly holder?: number;
  declare readonly indeterminate?: true;

  /**
   * @param code - The stable code.
   * @param message - What happened and what to do.
   * @param details - What else is known, and the cause.
   */
  constructor(code: ErrorCode, message: string, details: ErrorDetails & ErrorOptions = {}) {
    const { cause, ...known } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    Object.assign(this, known);
  }
}

/**
 * Whether a value is an error of this package, argument mistakes included.
 *
 * @param value - Whatever was caught.
 */
export function isTidemarkError(value: unknown): value is (
  TidemarkError | TypeError | RangeError
) & {
  /** The stable code. */
  readonly code: ErrorCode;
} {
  return value instanceof Error && 'code' in value && isErrorCode(value.code);
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(CODES, code);
}

/** Every code, for the test that compares them with the core's. */
export const errorCodes: readonly string[] = Object.keys(CODES);

/** A caller's mistake about a type. */
export function typeError(message: string, details: ErrorDetails & ErrorOptions = {}): TypeError {
  const { cause, ...known } = details;
  const error = cause === undefined ? new TypeError(message) : new TypeError(message, { cause });
  return Object.assign(error, { code: 'TIDEMARK_INVALID_ARGUMENT', ...known });
}

/** A caller's mistake about a range. */
export function rangeError(message: string): RangeError {
  return Object.assign(new RangeError(message), { code: 'TIDEMARK_INVALID_ARGUMENT' });
}

/** A use after close. */
export function closedError(what: string): TidemarkError {
  return new TidemarkError('TIDEMARK_CLOSED', `${what} is closed; open it again`);
}

/** The error of a failure that the core reports. */
export function toError(failure: Failure): TidemarkError | TypeError {
  const { code, message, cause, indeterminate, ...known } = failure;
  const details = { ...known, ...(indeterminate === true ? { indeterminate } : {}) };
  const withCause = cause === undefined ? details : { ...details, cause: new Error(cause) };
  if (code === 'TIDEMARK_INVALID_ARGUMENT') return typeError(message, withCause);
  return new TidemarkError(isErrorCode(code) ? code : 'TIDEMARK_INTERNAL', message, withCause);
}

/** What the core returned, or the error of its failure thrown. */
export function unwrap<T>(result: T | Failure): T {
  if (typeof result === 'object' && result !== null && 'code' in result) throw toError(result);
  return result;
}
