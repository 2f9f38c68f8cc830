// What a Mach-O file for one 64-bit machine says about itself: enough to judge a prebuild.
import { createHash } from 'node:crypto';
import { part, text } from './bytes.mjs';

const MAGIC = 'cffaedfe';
const MACHINES = new Map([
  [0x01000007, 'x64'],
  [0x0100000c, 'arm64'],
]);
const KINDS = new Map([
  [6, 'shared object'],
  [8, 'shared object'],
]);
const HEADER_BYTES = 32;
const MH_TWOLEVEL = 0x80;
const LC = { symbols: 0x2, signature: 0x1d, minimum: 0x24, build: 0x32, path: 0x8000001c };
/** Libraries, however they are asked for: also weakly, reexported, lazily, upward. */
const LIBRARIES = [0xc, 0x80000018, 0x8000001f, 0x20, 0x80000023];
const MACOS = 1;
const SYMBOL_BYTES = 16;
const [N_STAB, N_PEXT, N_TYPE, N_EXT] = [0xe0, 0x10, 0xe, 1];
/** In the place of a library's number: whatever the process has loaded, or the program itself. */
const OF_PROCESS = [0xfe, 0xff];
/** In a signature, all big-endian: what holds it, and what the pages of the file must hash to. */
const SIGNATURE = { whole: 0xfade0cc0, directory: 0xfade0c02, sha256: 2, hashBytes: 32 };

/** @param {Buffer} file */
export const isMachO = (file) => file.toString('hex', 0, 4) === MAGIC;

/** @param {number} packed xxxx.yy.zz */
const release = (packed) => `${packed >>> 16}.${(packed >>> 8) & 0xff}`;

/**
 * The undefined and the defined names of a table of symbols.
 * @param {Buffer} file
 * @param {number} command
 */
function readSymbols(file, command) {
  const [start, count] = [file.readUInt32LE(command + 8), file.readUInt32LE(command + 12)];
  const [strings, size] = [file.readUInt32LE(command + 16), file.readUInt32LE(command + 20)];
  const names = part(file, strings, size);
  const table = part(file, start, count * SYMBOL_BYTES);
  /** @type {{ name: string, library: number }[]} */
  const imported = [];
  /** @type {string[]} */
  const exported = [];
  for (let at = 0; at < table.length; at += SYMBOL_BYTES) {
    const type = table.readUInt8(at + 4);
    if ((type & N_EXT) === 0 || (type & (N_STAB | N_PEXT)) !== 0) continue;
    const name = text(names, table.readUInt32LE(at)).replace(/^_/, '');
    if ((type & N_TYPE) === 0) imported.push({ name, library: table.readUInt16LE(at + 6) >> 8 });
    else exported.push(name);
  }
  return { imported, exported };
}

/**
 * Whether the pages of the file are those that were signed: arm64 refuses others. What is done to a
 * file after it was linked (stripping it, for one) breaks the signature that the linker made.
 * @param {Buffer} file
 * @param {number} command
 */
function isAsSigned(file, command) {
  const blob = part(file, file.readUInt32LE(command + 8), file.readUInt32LE(command + 12));
  if (blob.readUInt32BE(0) !== SIGNATURE.whole) throw new Error('it has another signature');
  const places = Array.from({ length: blob.readUInt32BE(8) }, (_, index) =>
    blob.readUInt32BE(12 + 8 * index + 4),
  );
  const place = places.find((at) => blob.readUInt32BE(at) === SIGNATURE.directory);
  if (place === undefined) throw new Error('its signature has no directory of code');
  const directory = blob.subarray(place);
  const [hashes, count] = [directory.readUInt32BE(16), directory.readUInt32BE(28)];
  const end = directory.readUInt32BE(32);
  const [hashBytes, kind] = [directory.readUInt8(36), directory.readUInt8(37)];
  if (hashBytes !== SIGNATURE.hashBytes || kind !== SIGNATURE.sha256) return false;
  const pageBytes = 2 ** directory.readUInt8(39);
  // All that lies before the signature is signed.
  if (end !== file.readUInt32LE(command + 8) || count !== Math.ceil(end / pageBytes)) return false;
  return Array.from({ length: count }).every((_, page) => {
    const content = file.subarray(page * pageBytes, Math.min(end, (page + 1) * pageBytes));
    const signed = part(directory, hashes + page * hashBytes, hashBytes);
    return createHash('sha256').update(content).digest().equals(signed);
  });
}

/**
 * The commands of the header, by their place.
 * @param {Buffer} file
 * @returns {{ command: number, at: number }[]}
 */
function commands(file) {
  const end = HEADER_BYTES + file.readUInt32LE(20);
  const all = [];
  let at = HEADER_BYTES;
  for (let left = file.readUInt32LE(16); left > 0; left -= 1) {
    const size = file.readUInt32LE(at + 4);
    if (size < 8 || at + size > end) throw new Error('a command leaves the header');
    part(file, at, size);
    all.push({ command: file.readUInt32LE(at), at });
    at += size;
  }
  return all;
}

/** @param {Buffer} file */
export function readMachO(file) {
  /** @type {{ needed: string[], searched: string[] }} */
  const { needed, searched } = { needed: [], searched: [] };
  /** @type {string | undefined} */
  let system;
  /** @type {boolean | undefined} */
  let signed;
  /** @type {ReturnType<typeof readSymbols>} */
  let symbols = { imported: [], exported: [] };
  for (const { command, at } of commands(file)) {
    if (LIBRARIES.includes(command)) needed.push(text(file, at + file.readUInt32LE(at + 8)));
    if (command === LC.path) searched.push(text(file, at + file.readUInt32LE(at + 8)));
    if (command === LC.build && file.readUInt32LE(at + 8) === MACOS) {
      system = release(file.readUInt32LE(at + 12));
    }
    if (command === LC.minimum) system = release(file.readUInt32LE(at + 8));
    if (command === LC.symbols) symbols = readSymbols(file, at);
    if (command === LC.signature) signed = isAsSigned(file, at);
  }
  const isFlat = (file.readUInt32LE(24) & MH_TWOLEVEL) === 0;
  const fromProcess = symbols.imported.filter(
    ({ library }) => isFlat || OF_PROCESS.includes(library),
  );
  return {
    kind: KINDS.get(file.readUInt32LE(12)) ?? 'something else',
    arch: MACHINES.get(file.readUInt32LE(4)),
    needed,
    searched,
    /** The oldest macOS that it runs on, if it is for macOS at all. */
    system,
    /** Whether it is as it was signed, if it was. */
    signed,
    fromProcess: fromProcess.map(({ name }) => name),
    exported: symbols.exported,
  };
}
