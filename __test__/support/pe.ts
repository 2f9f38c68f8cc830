// A small Windows DLL, as far as scripts/lib/pe.mjs reads it: no machine could run it.
import { Buffer } from 'node:buffer';

export interface Pe {
  readonly machine: number;
  readonly characteristics: number;
  /** What kind of optional header it has: that of 64-bit files. */
  readonly magic: number;
  readonly imports: readonly string[];
  readonly delayed: readonly string[];
  readonly exports: readonly string[];
}

export const MACHINE = { x64: 0x8664, arm64: 0xaa64, x86: 0x14c };
export const IS_DLL = 0x2000;

/** As the addon is: nothing is wrong with it. */
export const ADDON: Pe = {
  machine: MACHINE.x64,
  characteristics: 0x22 | IS_DLL,
  magic: 0x20b,
  imports: ['KERNEL32.dll', 'ntdll.dll', 'api-ms-win-core-synch-l1-2-0.dll'],
  delayed: [],
  exports: ['napi_register_module_v1'],
};

const [HEAD, OPTIONAL_BYTES, FILE_AT, LOADED_AT] = [0x40, 240, 0x200, 0x1000];

/** A section that is written from its start, and knows where in memory each piece will lie. */
class Section {
  readonly #pieces: Buffer[] = [];
  #size = 0;

  add(piece: Buffer): number {
    const address = LOADED_AT + this.#size;
    this.#pieces.push(piece);
    this.#size += piece.length;
    return address;
  }

  addText(text: string): number {
    return this.add(Buffer.from(`${text}\0`, 'latin1'));
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

/** The table of libraries, ended by an empty entry. */
function imports(into: Section, names: readonly string[], size: number, nameAt: number): number {
  const entries = names.map((name) => {
    const entry = Buffer.alloc(size);
    entry.writeUInt32LE(into.addText(name), nameAt);
    return entry;
  });
  return into.add(Buffer.concat([...entries, Buffer.alloc(size)]));
}

function exported(into: Section, names: readonly string[]): number {
  const table = Buffer.alloc(4 * names.length);
  names.forEach((name, index) => table.writeUInt32LE(into.addText(name), 4 * index));
  const directory = Buffer.alloc(40);
  directory.writeUInt32LE(names.length, 24);
  directory.writeUInt32LE(into.add(table), 32);
  return into.add(directory);
}

/** The file. */
export function pe(of: Pe): Buffer {
  const section = new Section();
  const header = Buffer.alloc(FILE_AT);
  header.write('MZ');
  header.writeUInt32LE(HEAD, 0x3c);
  header.write('PE', HEAD);
  header.writeUInt16LE(of.machine, HEAD + 4);
  header.writeUInt16LE(1, HEAD + 6);
  header.writeUInt16LE(OPTIONAL_BYTES, HEAD + 20);
  header.writeUInt16LE(of.characteristics, HEAD + 22);
  const optional = HEAD + 24;
  header.writeUInt16LE(of.magic, optional);
  header.writeUInt32LE(16, optional + 108);
  const directory = (index: number, address: number): void => {
    header.writeUInt32LE(address, optional + 112 + 8 * index);
  };
  if (of.exports.length > 0) directory(0, exported(section, of.exports));
  directory(1, imports(section, of.imports, 20, 12));
  if (of.delayed.length > 0) directory(13, imports(section, of.delayed, 32, 4));
  const content = section.bytes();
  const row = optional + OPTIONAL_BYTES;
  header.write('.rdata', row);
  header.writeUInt32LE(content.length, row + 8);
  header.writeUInt32LE(LOADED_AT, row + 12);
  header.writeUInt32LE(content.length, row + 16);
  header.writeUInt32LE(FILE_AT, row + 20);
  return Buffer.concat([header, content]);
}
