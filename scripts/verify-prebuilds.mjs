// Judges prebuilds by their files alone, on whatever machine: that each is a library for the system
// that its name says, asks for nothing but the C library and Node-API, for no newer C library than
// promised, and is small. Prints what it judged with its SHA-256, and fails if anything is wrong.
//
//   node scripts/verify-prebuilds.mjs [--target TRIPLE ...] [--directory prebuilds]
//
// Without a target every one must be there, and nothing else that would be published.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { isElf, readElf } from './lib/elf.mjs';
import { isMachO, readMachO } from './lib/mach-o.mjs';
import { isPe, readPe } from './lib/pe.mjs';
import { SetupError, isMain, main, prebuild, root } from './lib/project.mjs';
import { GLIBC_FLOOR, MACOS_FLOOR, PREBUILD_BYTES_MAX, SHIPPED, TARGETS } from './lib/targets.mjs';

/** @typedef {import('./lib/targets.mjs').Target} Target */
/** @typedef {{ complain: (what: string) => void, remark: (what: string) => void }} Judge */

/** What the C library consists of, and the compiler's own, which every Node has loaded. */
const LIBRARIES = {
  glibc: /^(?:lib(?:c|m)\.so\.6|lib(?:dl|gcc_s|pthread|rt)\.so\.\d|ld-linux-[\w-]+\.so\.\d)$/,
  musl: /^lib(?:c|c\.musl-\w+|gcc_s)\.so(?:\.1)?$/,
  // Every macOS has these; zig links the second beside the third.
  darwin: /^\/usr\/lib\/lib(?:System\.B|charset\.1|iconv\.2|objc\.A)\.dylib$/,
  // Not vcruntime140.dll, which a machine with Node may lack: it is linked in (crt-static).
  win32: /^(?:(?:advapi32|bcrypt(?:primitives)?|kernel32|ntdll|userenv|ws2_32)\.dll|api-ms-.*)$/,
};
const NODE_API = /^(?:napi|node_api)_/;
const ENTRY = 'napi_register_module_v1';
const DF_1_NODELETE = 0x8n;
const DF_STATIC_TLS = 0x10n;
/** The largest pages that a Linux kernel may have. */
const PAGE_BYTES_MAX = { x64: 4 << 10, arm64: 64 << 10 };

/**
 * Whether a release, as in 2.17, is newer than another.
 * @param {string} one
 * @param {string} other
 */
function newer(one, other) {
  const [a = [], b = []] = [one, other].map((text) => text.split('.').map(Number));
  return (a[0] ?? 0) !== (b[0] ?? 0) ? (a[0] ?? 0) > (b[0] ?? 0) : (a[1] ?? 0) > (b[1] ?? 0);
}

/**
 * @param {string[]} needed
 * @param {RegExp} allowed
 * @param {Judge} judge
 */
function checkLibraries(needed, allowed, { complain }) {
  for (const library of needed) if (!allowed.test(library)) complain(`it needs ${library}`);
}

/**
 * Libraries are those of the system: nothing is searched for where it was built.
 * @param {string[]} searched
 * @param {Judge} judge
 */
function checkPaths(searched, { complain }) {
  for (const directory of searched) complain(`it searches for libraries in ${directory}`);
}

/**
 * @param {{ name: string }[]} symbols
 * @param {Judge} judge
 */
function complainOfSymbols(symbols, { complain }) {
  const names = symbols.map(({ name }) => name);
  if (names.length === 0) return;
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  complain(`nobody it needs has the symbol ${names.slice(0, 5).join(', ')}${more}`);
}

/**
 * @param {Buffer} file
 * @param {Target} target
 * @param {Judge} judge
 */
function judgeElf(file, { arch, libc }, judge) {
  const elf = readElf(file);
  checkLibraries(elf.needed, LIBRARIES[libc ?? 'glibc'], judge);
  checkPaths(elf.searched, judge);
  const known = (/** @type {import('./lib/elf.mjs').Imported} */ { name, weak, version }) => {
    if (weak || NODE_API.test(name)) return true;
    // musl has no versions: what is not its own would be of C++ or of Node.
    return libc === 'musl' ? !/^(?:_Z|uv_|v8)/.test(name) : /^(?:GLIBC|GCC)_/.test(version ?? '');
  };
  complainOfSymbols(
    elf.imported.filter((symbol) => !known(symbol)),
    judge,
  );
  const glibc = elf.imported.flatMap(({ version }) => /^GLIBC_(.*)/.exec(version ?? '')?.[1] ?? []);
  const highest = glibc.reduce((high, one) => (newer(one, high) ? one : high), '0');
  if (libc === 'musl' && glibc.length > 0) judge.complain('it is linked against glibc');
  if (libc === 'glibc' && glibc.length === 0) judge.complain('it is not linked against glibc');
  if (newer(highest, GLIBC_FLOOR)) {
    const how = 'link it with --use-napi-cross';
    judge.complain(`it needs glibc ${highest}, newer than ${GLIBC_FLOOR}: ${how}`);
  }
  if ((elf.flags1 & DF_1_NODELETE) === 0n) judge.complain('it is not linked with -z nodelete');
  if ((elf.flags & DF_STATIC_TLS) !== 0n) judge.complain('its TLS is only for the program itself');
  if (elf.hasExecutableStack) judge.complain('it wants a stack that can be executed');
  const pages = PAGE_BYTES_MAX[arch === 'arm64' ? 'arm64' : 'x64'];
  if (elf.pageBytesMax < pages) judge.complain(`it cannot be mapped with pages of ${pages} bytes`);
  if (libc === 'glibc') judge.remark(`glibc ${highest}`);
  return elf;
}

/**
 * @param {Buffer} file
 * @param {Target} target
 * @param {Judge} judge
 */
function judgeMachO(file, { arch }, judge) {
  const library = readMachO(file);
  checkLibraries(library.needed, LIBRARIES.darwin, judge);
  checkPaths(library.searched, judge);
  const others = library.fromProcess.filter((name) => !NODE_API.test(name));
  complainOfSymbols(
    others.map((name) => ({ name })),
    judge,
  );
  const { system, signed } = library;
  if (system === undefined) judge.complain('it is not for macOS');
  else if (newer(system, MACOS_FLOOR)) {
    judge.complain(`it needs macOS ${system}, newer than ${MACOS_FLOOR}`);
  }
  if (signed === false) judge.complain('it was changed after it was signed');
  if (signed === undefined && arch === 'arm64') judge.complain('it is not signed');
  judge.remark(`macOS ${system ?? 'none'}`);
  return library;
}

/**
 * @param {Buffer} file
 * @param {Target} _target
 * @param {Judge} judge
 */
function judgePe(file, _target, judge) {
  const library = readPe(file);
  checkLibraries(library.needed, LIBRARIES.win32, judge);
  return library;
}

/** @typedef {{ is: (file: Buffer) => boolean, judge: typeof judgeElf | typeof judgePe }} Format */

/** @type {Record<string, Format>} */
const FORMATS = {
  linux: { is: isElf, judge: judgeElf },
  darwin: { is: isMachO, judge: judgeMachO },
  win32: { is: isPe, judge: judgePe },
};

/**
 * What is wrong with a prebuild, and what is worth telling of it.
 * @param {Buffer} file
 * @param {Target} target
 * @returns {{ complaints: string[], remarks: string[] }}
 */
export function judge(file, target) {
  /** @type {string[]} */
  const complaints = [];
  const remarks = [`${file.length.toLocaleString('en')} bytes`];
  const complain = (/** @type {string} */ what) => void complaints.push(what);
  const remark = (/** @type {string} */ what) => void remarks.push(what);
  if (file.length > PREBUILD_BYTES_MAX) {
    complain(`it has ${file.length} bytes, more than ${PREBUILD_BYTES_MAX}`);
  }
  const format = FORMATS[target.platform];
  if (format?.is(file) !== true) {
    complain(`it is not a library of ${target.platform}`);
    return { complaints, remarks };
  }
  try {
    const { kind, arch, exported } = format.judge(file, target, { complain, remark });
    if (kind !== 'shared object') complain('it is not a shared library');
    if (arch !== target.arch) complain(`it is for ${arch ?? 'another machine'}`);
    if (!exported.includes(ENTRY)) complain(`it does not export ${ENTRY}`);
  } catch (error) {
    complain(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { complaints, remarks };
}

/**
 * What lies there and would be published, though nobody expects it.
 * @param {string} directory
 * @param {string[]} expected
 */
function strays(directory, expected) {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.node') && !expected.includes(name));
}

function verify() {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true },
      directory: { type: 'string', default: path.join(root, 'prebuilds') },
    },
  });
  const unknown = values.target?.find((triple) => !Object.hasOwn(TARGETS, triple));
  if (unknown !== undefined) throw new SetupError(`unknown target ${unknown}`);
  const wanted = values.target ?? SHIPPED;
  const targets = Object.entries(TARGETS).filter(([triple]) => wanted.includes(triple));
  let failed = 0;
  const fail = (/** @type {string} */ line) => {
    process.stdout.write(`${line}\n`);
    failed += 1;
  };
  for (const [triple, target] of targets) {
    const { file } = prebuild(target);
    const full = path.join(values.directory, file);
    if (!existsSync(full)) {
      fail(`${triple}: ${file} is not there`);
      continue;
    }
    const content = readFileSync(full);
    const { complaints, remarks } = judge(content, target);
    for (const complaint of complaints) fail(`${triple}: ${file}: ${complaint}`);
    const sum = createHash('sha256').update(content).digest('hex');
    process.stdout.write(`${sum}  ${file}  ${remarks.join(', ')}\n`);
  }
  if (values.target === undefined) {
    const expected = targets.map(([, target]) => prebuild(target).file);
    for (const name of strays(values.directory, expected)) fail(`${name}: nobody expects it`);
  }
  if (failed > 0) throw new SetupError(`${failed} faults in the prebuilds, see above`);
}

if (isMain(import.meta.url)) await main(verify);
