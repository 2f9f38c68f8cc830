// What a Mach-O file for one 64-bit machine says about itself: enough to judge a prebuild.

const MAGIC = 0xfeedfacf;
const MACHINES = new Map([
  [0x01000007, 'x64'],
  [0x0100000c, 'arm64'],
]);
const KINDS = new Map([
  [6, 'shared object'],
  [8, 'shared object'],
]);
const HEADER_BYTES = 32;
const LC = { symbols: 0x2, library: 0xc, weakLibrary: 0x80000018, minimum: 0x24, build: 0x32 };
const SYMBOL_BYTES = 16;
const N_EXT = 1;
const N_TYPE = 0xe;
/** In the place of a library's number: whatever the process has loaded. */
const DYNAMIC_LOOKUP = 0xfe;

/** @param {Buffer} file */
export const isMachO = (file) => file.readUInt32LE(0) === MAGIC;

/**
 * @param {Buffer} file
 * @param {number} at
 */
const text = (file, at) => file.toString('latin1', at, file.indexOf(0, at));

/** @param {number} packed xxxx.yy.zz */
const release = (packed) => `${packed >>> 16}.${(packed >>> 8) & 0xff}`;

/**
 * The undefined and the defined names of a table of symbols.
 * @param {Buffer} file
 * @param {number} command
 */
function readSymbols(file, command) {
  const [start, count] = [file.readUInt32LE(command + 8), file.readUInt32LE(command + 12)];
  const strings = file.readUInt32LE(command + 16);
  /** @type {{ name: string, library: number }[]} */
  const imported = [];
  /** @type {string[]} */
  const exported = [];
  for (let at = start; at < start + count * SYMBOL_BYTES; at += SYMBOL_BYTES) {
    const type = file[at + 4] ?? 0;
    if ((type & N_EXT) === 0) continue;
    const name = text(file, strings + file.readUInt32LE(at)).replace(/^_/, '');
    if ((type & N_TYPE) === 0) imported.push({ name, library: file.readUInt16LE(at + 6) >> 8 });
    else exported.push(name);
  }
  return { imported, exported };
}

/** @param {Buffer} file */
export function readMachO(file) {
  /** @type {string[]} */
  const needed = [];
  let system = '';
  /** @type {ReturnType<typeof readSymbols>} */
  let symbols = { imported: [], exported: [] };
  let at = HEADER_BYTES;
  for (let left = file.readUInt32LE(16); left > 0; left -= 1) {
    const command = file.readUInt32LE(at);
    if (command === LC.library || command === LC.weakLibrary) {
      needed.push(text(file, at + file.readUInt32LE(at + 8)));
    }
    if (command === LC.build) system = release(file.readUInt32LE(at + 12));
    if (command === LC.minimum) system = release(file.readUInt32LE(at + 8));
    if (command === LC.symbols) symbols = readSymbols(file, at);
    at += file.readUInt32LE(at + 4);
  }
  const fromProcess = symbols.imported.filter(({ library }) => library === DYNAMIC_LOOKUP);
  return {
    kind: KINDS.get(file.readUInt32LE(12)) ?? 'something else',
    arch: MACHINES.get(file.readUInt32LE(4)),
    needed,
    /** The oldest macOS that it runs on. */
    system,
    fromProcess: fromProcess.map(({ name }) => name),
    exported: symbols.exported,
  };
}
