// What an ELF file for 64-bit little-endian machines says about itself: enough to judge a prebuild.
import { text } from './bytes.mjs';

const MACHINES = new Map([
  [0x3e, 'x64'],
  [0xb7, 'arm64'],
]);
const ET_DYN = 3;
const SHT = { dynamic: 6, dynsym: 11, versionNeeds: 0x6ffffffe, versions: 0x6fffffff };
const DT = { null: 0n, needed: 1n, path: 15n, runPath: 29n, flags: 30n, flags1: 0x6ffffffbn };
const PT = { load: 1, stack: 0x6474e551 };
const PF_EXECUTE = 1;
const SYMBOL_BYTES = 24;
const STB_WEAK = 2;
/** Of an entry in the table of versions: that it is hidden. */
const VERSION_MASK = 0x7fff;

/** @typedef {{ type: number, offset: number, size: number, link: number }} Section */
/** @typedef {{ name: string, weak: boolean, version: string | undefined }} Imported */

/** @param {Buffer} file */
export const isElf = (file) => file.toString('latin1', 0, 4) === '\x7fELF';

/**
 * @param {Buffer} file
 * @returns {Section[]}
 */
function sections(file) {
  const start = Number(file.readBigUInt64LE(40));
  const [size, count] = [file.readUInt16LE(58), file.readUInt16LE(60)];
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * size;
    return {
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
    };
  });
}

/**
 * How the parts of the file are to lie in memory.
 * @param {Buffer} file
 */
function segments(file) {
  const start = Number(file.readBigUInt64LE(32));
  const [size, count] = [file.readUInt16LE(54), file.readUInt16LE(56)];
  const all = Array.from({ length: count }, (_, index) => {
    const at = start + index * size;
    const [type, flags] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
    return { type, flags, alignment: Number(file.readBigUInt64LE(at + 48)) };
  });
  const stack = all.find(({ type }) => type === PT.stack);
  return {
    /** The largest pages that every part can be mapped with. */
    pageBytesMax: Math.min(...all.map((one) => (one.type === PT.load ? one.alignment : Infinity))),
    // Who says nothing about the stack gets one that can be executed.
    hasExecutableStack: stack === undefined || (stack.flags & PF_EXECUTE) !== 0,
  };
}

/**
 * The names of the versions that are asked for, by their number in the table of versions.
 * @param {Buffer} file
 * @param {Section | undefined} needs
 * @param {number} strings
 */
function versionNames(file, needs, strings) {
  /** @type {Map<number, string>} */
  const names = new Map();
  if (needs === undefined) return names;
  for (let need = needs.offset; ;) {
    let version = need + file.readUInt32LE(need + 8);
    for (let left = file.readUInt16LE(need + 2); left > 0; left -= 1) {
      names.set(
        file.readUInt16LE(version + 6),
        text(file, strings + file.readUInt32LE(version + 8)),
      );
      version += file.readUInt32LE(version + 12);
    }
    const next = file.readUInt32LE(need + 12);
    if (next === 0) return names;
    need += next;
  }
}

/**
 * @param {Buffer} file
 * @param {Section[]} all
 */
function dynamicEntries(file, all) {
  const dynamic = all.find(({ type }) => type === SHT.dynamic);
  if (dynamic === undefined) throw new Error('it has no dynamic section');
  const strings = all[dynamic.link]?.offset ?? 0;
  /** @type {string[]} */
  const needed = [];
  /** @type {string[]} */
  const searched = [];
  let [flags, flags1] = [0n, 0n];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const [tag, value] = [file.readBigUInt64LE(at), file.readBigUInt64LE(at + 8)];
    if (tag === DT.null) break;
    if (tag === DT.needed) needed.push(text(file, strings + Number(value)));
    if (tag === DT.path || tag === DT.runPath) searched.push(text(file, strings + Number(value)));
    if (tag === DT.flags) flags = value;
    if (tag === DT.flags1) flags1 = value;
  }
  return { needed, searched, flags, flags1 };
}

/** @param {Buffer} file */
export function readElf(file) {
  if (file[4] !== 2 || file[5] !== 1) throw new Error('it is not 64-bit, little-endian');
  const all = sections(file);
  const symbols = all.find(({ type }) => type === SHT.dynsym);
  const versions = all.find(({ type }) => type === SHT.versions);
  if (symbols === undefined) throw new Error('it has no table of dynamic symbols');
  const strings = all[symbols.link]?.offset ?? 0;
  const needs = all.find(({ type }) => type === SHT.versionNeeds);
  const names = versionNames(file, needs, all[needs?.link ?? 0]?.offset ?? 0);
  /** @type {Imported[]} */
  const imported = [];
  /** @type {string[]} */
  const exported = [];
  for (let index = 1; index < symbols.size / SYMBOL_BYTES; index += 1) {
    const at = symbols.offset + index * SYMBOL_BYTES;
    const name = text(file, strings + file.readUInt32LE(at));
    if (file.readUInt16LE(at + 6) !== 0) {
      exported.push(name);
      continue;
    }
    const version = versions && file.readUInt16LE(versions.offset + 2 * index) & VERSION_MASK;
    const weak = (file[at + 4] ?? 0) >> 4 === STB_WEAK;
    imported.push({ name, weak, version: names.get(version ?? -1) });
  }
  return {
    kind: file.readUInt16LE(16) === ET_DYN ? 'shared object' : 'something else',
    arch: MACHINES.get(file.readUInt16LE(18)),
    imported,
    exported,
    ...segments(file),
    ...dynamicEntries(file, all),
  };
}
