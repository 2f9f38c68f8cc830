// What a Windows DLL for a 64-bit machine says about itself: enough to judge a prebuild.
import { text } from './bytes.mjs';

const MACHINES = new Map([
  [0x8664, 'x64'],
  [0xaa64, 'arm64'],
]);
const IS_DLL = 0x2000;
const PE32_PLUS = 0x20b;
const COFF_BYTES = 24;
/** Where the directories begin in the optional header, and which is which. */
const DIRECTORIES = 112;
/** @type {{ exports: 0, imports: 1, delayed: 13 }} */
const DIRECTORY = { exports: 0, imports: 1, delayed: 13 };
const IMPORT_BYTES = { 1: 20, 13: 32 };
const IMPORT_NAME = { 1: 12, 13: 4 };

/** @param {Buffer} file */
export const isPe = (file) => file.toString('latin1', 0, 2) === 'MZ';

/** @param {Buffer} file */
export function readPe(file) {
  const head = file.readUInt32LE(0x3c);
  if (text(file, head) !== 'PE') throw new Error('it has no PE header');
  const optional = head + COFF_BYTES;
  if (file.readUInt16LE(optional) !== PE32_PLUS) throw new Error('it is not 64-bit');
  const table = optional + file.readUInt16LE(head + 20);
  const sections = Array.from({ length: file.readUInt16LE(head + 6) }, (_, index) => {
    const at = table + 40 * index;
    const [size, address] = [file.readUInt32LE(at + 8), file.readUInt32LE(at + 12)];
    return { size, address, offset: file.readUInt32LE(at + 20) };
  });
  /** Where an address of the loaded image lies in the file. */
  const inFile = (/** @type {number} */ address) => {
    const section = sections.find(
      (one) => address >= one.address && address < one.address + one.size,
    );
    if (section === undefined) throw new Error(`no section holds address ${address}`);
    return address - section.address + section.offset;
  };
  const directory = (/** @type {number} */ index) => {
    const isThere = index < file.readUInt32LE(optional + DIRECTORIES - 4);
    const address = isThere ? file.readUInt32LE(optional + DIRECTORIES + 8 * index) : 0;
    return address === 0 ? undefined : inFile(address);
  };
  const libraries = (/** @type {1 | 13} */ index) => {
    /** @type {string[]} */
    const names = [];
    const start = directory(index);
    for (let at = start ?? 0; start !== undefined; at += IMPORT_BYTES[index]) {
      const name = file.readUInt32LE(at + IMPORT_NAME[index]);
      if (name === 0) break;
      names.push(text(file, inFile(name)).toLowerCase());
    }
    return names;
  };
  const exports = directory(DIRECTORY.exports);
  const count = exports === undefined ? 0 : file.readUInt32LE(exports + 24);
  const names = exports === undefined || count === 0 ? 0 : inFile(file.readUInt32LE(exports + 32));
  return {
    kind: (file.readUInt16LE(head + 22) & IS_DLL) === 0 ? 'something else' : 'shared object',
    arch: MACHINES.get(file.readUInt16LE(head + 4)),
    needed: [...libraries(DIRECTORY.imports), ...libraries(DIRECTORY.delayed)],
    exported: Array.from({ length: count }, (_, index) =>
      text(file, inFile(file.readUInt32LE(names + 4 * index))),
    ),
  };
}
