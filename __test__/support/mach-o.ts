// A small Mach-O file, as far as scripts/lib/mach-o.mjs reads it: no machine could run it.
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

const HEADER_BYTES = 32;
const SYMBOL_BYTES = 16;
const PAGE_BITS = 12;

export interface MachO {
  readonly cpu: number;
  readonly kind: number;
  readonly flags: number;
  /** The command that asks for a library, and its path. */
  readonly libraries: readonly (readonly [command: number, path: string])[];
  readonly searched: readonly string[];
  /** What it was built for, and the oldest release of that, as in 0x000b0000 for 11.0. */
  readonly system: readonly [platform: number, release: number] | undefined;
  /** The older way to say it. */
  readonly minimum: number | undefined;
  /** A name, its type, and the number of its library. */
  readonly symbols: readonly (readonly [name: string, type: number, library: number])[];
  readonly signed: boolean;
}

export const CPU = { x64: 0x01000007, arm64: 0x0100000c };
export const LC = { library: 0xc, weak: 0x80000018, reexport: 0x8000001f, upward: 0x80000023 };
export const TWO_LEVELS = 0x80;
export const SYMBOL = { exported: 0xf, private: 0x1f, imported: 0x1 };
export const OF_PROCESS = 0xfe;

/** As the addon for arm64 is: nothing is wrong with it. */
export const ADDON: MachO = {
  cpu: CPU.arm64,
  kind: 6,
  flags: TWO_LEVELS,
  libraries: [[LC.library, '/usr/lib/libSystem.B.dylib']],
  searched: [],
  system: [1, 0x000b0000],
  minimum: undefined,
  symbols: [
    ['_napi_register_module_v1', SYMBOL.exported, 0],
    ['_napi_create_object', SYMBOL.imported, OF_PROCESS],
    ['_malloc', SYMBOL.imported, 1],
  ],
  signed: true,
};

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32LE(value, index * 4));
  return bytes;
};
const bigEndian = (...values: readonly number[]): Buffer => words(...values).swap32();
const padded = (bytes: Buffer, to: number): Buffer =>
  Buffer.concat([bytes, Buffer.alloc(-bytes.length & (to - 1))]);
const named = (command: number, at: number, more: readonly number[], name: string): Buffer => {
  const body = padded(Buffer.concat([words(at, ...more), Buffer.from(`${name}\0`)]), 8);
  return Buffer.concat([words(command, body.length + 8), body]);
};

/** The table of symbols, and the names in it. */
function symbolTable({ symbols }: MachO): { table: Buffer; names: Buffer } {
  const names = [' \0'];
  const table = symbols.map(([name, type, library]) => {
    const entry = Buffer.alloc(SYMBOL_BYTES);
    entry.writeUInt32LE(names.join('').length, 0);
    entry[4] = type;
    entry.writeUInt16LE(library << 8, 6);
    names.push(`${name}\0`);
    return entry;
  });
  return { table: Buffer.concat(table), names: padded(Buffer.from(names.join('')), 8) };
}

/** A signature without a name behind it: the hashes of all pages. */
function signature(signed: Buffer): Buffer {
  const size = 1 << PAGE_BITS;
  const pages = Array.from({ length: Math.ceil(signed.length / size) }, (_, page) =>
    createHash('sha256')
      .update(signed.subarray(page * size, (page + 1) * size))
      .digest(),
  );
  const head = 44;
  const directory = Buffer.concat([
    bigEndian(0xfade0c02, head + pages.length * 32, 0x20100, 0x2, head, head, 0, pages.length),
    bigEndian(signed.length),
    Buffer.from([32, 2, 0, PAGE_BITS, 0, 0, 0, 0]),
    ...pages,
  ]);
  return Buffer.concat([bigEndian(0xfade0cc0, 20 + directory.length, 1, 0, 20), directory]);
}

/** The file. */
export function machO(of: MachO): Buffer {
  const { table, names } = symbolTable(of);
  const fixed = [
    ...of.libraries.map(([command, library]) => named(command, 24, [2, 0, 0], library)),
    ...of.searched.map((directory) => named(0x8000001c, 12, [], directory)),
    ...(of.system === undefined ? [] : [words(0x32, 24, ...of.system, 0, 0)]),
    ...(of.minimum === undefined ? [] : [words(0x24, 16, of.minimum, 0)]),
  ];
  const commandBytes = Buffer.concat(fixed).length + 24 + (of.signed ? 16 : 0);
  const start = HEADER_BYTES + commandBytes;
  const end = start + table.length + names.length;
  const signatureBytes = signature(Buffer.alloc(end)).length;
  const commands = [
    ...fixed,
    words(0x2, 24, start, of.symbols.length, start + table.length, names.length),
    ...(of.signed ? [words(0x1d, 16, end, signatureBytes)] : []),
  ];
  const header = words(0xfeedfacf, of.cpu, 0, of.kind, commands.length, commandBytes, of.flags, 0);
  const content = Buffer.concat([header, ...commands, table, names]);
  return of.signed ? Buffer.concat([content, signature(content)]) : content;
}
