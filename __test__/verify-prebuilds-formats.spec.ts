// scripts/verify-prebuilds.mjs on addons for macOS and Windows, which are built nowhere near: on
// small files that are made here, each with one fault.
import { Buffer } from 'node:buffer';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { root } from './support/compiled.ts';
import * as mach from './support/mach-o.ts';
import * as windows from './support/pe.ts';

interface Target {
  readonly platform: string;
  readonly arch: string;
  readonly libc: undefined;
}

const { judge } = (await import(path.join(root, 'scripts/verify-prebuilds.mjs'))) as {
  judge: (file: Buffer, target: Target) => { complaints: string[] };
};
const { TARGETS } = (await import(path.join(root, 'scripts/lib/targets.mjs'))) as {
  TARGETS: Record<string, Target | undefined>;
};
const target = (triple: string): Target => {
  const found = TARGETS[triple];
  if (found === undefined) throw new Error(`there is no target ${triple}`);
  return found;
};

const MAC_ARM = target('aarch64-apple-darwin');
const MAC_X64 = target('x86_64-apple-darwin');
const WINDOWS = target('x86_64-pc-windows-msvc');
const WINDOWS_ARM = target('aarch64-pc-windows-msvc');

const { LC, SYMBOL, OF_PROCESS } = mach;
const mac = (changes: Partial<mach.MachO> = {}): Buffer =>
  mach.machO({ ...mach.ADDON, ...changes });
const dll = (changes: Partial<windows.Pe> = {}): Buffer =>
  windows.pe({ ...windows.ADDON, ...changes });
const also = (...more: mach.MachO['symbols']): Pick<mach.MachO, 'symbols'> => ({
  symbols: [...mach.ADDON.symbols, ...more],
});
const libraries = (command: number, name: string): Pick<mach.MachO, 'libraries'> => ({
  libraries: [...mach.ADDON.libraries, [command, name]],
});

/** All faults that are found. */
const faults = (content: Buffer, of: Target): string[] => judge(content, of).complaints;

const faultless = (t: ExecutionContext, content: Buffer, of: Target): void =>
  void t.deepEqual(faults(content, of), []);

test('an addon for macOS or Windows without a fault has none', (t) => {
  faultless(t, mac(), MAC_ARM);
  faultless(t, mac({ cpu: mach.CPU.x64 }), MAC_X64);
  // An older linker says it in an older way; what is for x64 needs no signature.
  const older = { system: undefined, minimum: 0x000a0f00, signed: false, kind: 8 };
  faultless(t, mac({ cpu: mach.CPU.x64, ...older }), MAC_X64);
  faultless(t, dll(), WINDOWS);
  faultless(t, dll({ machine: windows.MACHINE.arm64 }), WINDOWS_ARM);
});

/** A file with one fault, whose prebuild it is to be, and the only thing that is said of it. */
type Faulty = readonly [title: string, content: Buffer, of: Target, said: RegExp];

const LARGE = Buffer.alloc(2_000_000);
const FOREIGN = '/opt/homebrew/lib/libz.1.dylib';
const FOREIGN_SAID = /^it needs \/opt\/homebrew\/lib\/libz\.1\.dylib$/;
const NO_ENTRY = /^it does not export napi_register_module_v1$/;

/** Changes one byte of the signed pages, and nothing that is read. */
function tampered(): Buffer {
  const content = mac();
  content.writeUInt32LE(1, 28); // the last word of the header, which is reserved
  return content;
}

function resigned(change: (directory: Buffer) => void): Buffer {
  const content = mac();
  change(content.subarray(content.indexOf('fade0c02', 0, 'hex')));
  return content;
}

const ON_MACOS: readonly Faulty[] = [
  ['for another machine', mac({ cpu: mach.CPU.x64 }), MAC_ARM, /^it is for x64$/],
  ['for a machine nobody knows', mac({ cpu: 12 }), MAC_ARM, /^it is for another machine$/],
  ['that is a program', mac({ kind: 2 }), MAC_ARM, /^it is not a shared library$/],
  ['with a foreign library', mac(libraries(LC.library, FOREIGN)), MAC_ARM, FOREIGN_SAID],
  ['with one that may be missing', mac(libraries(LC.weak, FOREIGN)), MAC_ARM, FOREIGN_SAID],
  ['with one that it passes on', mac(libraries(LC.reexport, FOREIGN)), MAC_ARM, FOREIGN_SAID],
  ['with one that needs it in turn', mac(libraries(LC.upward, FOREIGN)), MAC_ARM, FOREIGN_SAID],
  [
    'that searches for libraries',
    mac({ searched: ['@loader_path/../lib'] }),
    MAC_ARM,
    /^it searches for libraries in @loader_path\/\.\.\/lib$/,
  ],
  [
    'for a newer macOS than promised',
    mac({ system: [1, 0x000b0100] }),
    MAC_ARM,
    /^it needs macOS 11\.1, newer than 11\.0$/,
  ],
  [
    'for a newer macOS, said in the older way',
    mac({ cpu: mach.CPU.x64, system: undefined, minimum: 0x000c0000 }),
    MAC_X64,
    /^it needs macOS 12\.0, newer than 11\.0$/,
  ],
  ['for iOS', mac({ system: [2, 0x000b0000] }), MAC_ARM, /^it is not for macOS$/],
  ['for no system', mac({ system: undefined }), MAC_ARM, /^it is not for macOS$/],
  ['without its entry', mac({ symbols: mach.ADDON.symbols.slice(1) }), MAC_ARM, NO_ENTRY],
  [
    'that keeps its entry to itself',
    mac({ symbols: [['_napi_register_module_v1', SYMBOL.private, 0]] }),
    MAC_ARM,
    NO_ENTRY,
  ],
  [
    'with a symbol of V8',
    mac(also(['__ZN2v86String3NewEv', SYMBOL.imported, OF_PROCESS])),
    MAC_ARM,
    /^nobody it needs has the symbol _ZN2v86String3NewEv$/,
  ],
  [
    'with symbols of whatever library',
    mac({ flags: 0 }),
    MAC_ARM,
    /^nobody it needs has the symbol malloc$/,
  ],
  ['that is not signed', mac({ signed: false }), MAC_ARM, /^it is not signed$/],
  ['that was changed later', tampered(), MAC_ARM, /^it was changed after it was signed$/],
  [
    'that was signed in part',
    resigned((directory) => directory.writeUInt32BE(16, 32)),
    MAC_ARM,
    /^it was changed after it was signed$/,
  ],
  [
    'with a signature of no code',
    resigned((directory) => directory.writeUInt32BE(0, 0)),
    MAC_ARM,
    /^it cannot be read: its signature has no directory of code$/,
  ],
  ['of more than 2 MB', Buffer.concat([mac(), LARGE]), MAC_ARM, /^it has \d+ bytes, more than 2/],
  ['for Windows', dll(), MAC_ARM, /^it is not a library of darwin$/],
];

const ON_WINDOWS: readonly Faulty[] = [
  ['for another machine', dll({ machine: windows.MACHINE.arm64 }), WINDOWS, /^it is for arm64$/],
  ['for 32 bits', dll({ magic: 0x10b }), WINDOWS, /^it cannot be read: it is not 64-bit$/],
  ['that is a program', dll({ characteristics: 0x22 }), WINDOWS, /^it is not a shared library$/],
  ['without its entry', dll({ exports: ['other'] }), WINDOWS, NO_ENTRY],
  ['without any entry', dll({ exports: [] }), WINDOWS, NO_ENTRY],
  [
    'with a runtime library that may be missing',
    dll({ imports: ['kernel32.dll', 'VCRUNTIME140.dll'] }),
    WINDOWS,
    /^it needs vcruntime140\.dll$/,
  ],
  [
    'that is linked against node.exe itself',
    dll({ imports: ['kernel32.dll', 'node.exe'] }),
    WINDOWS,
    /^it needs node\.exe$/,
  ],
  ['with a library for later', dll({ delayed: ['zlib1.dll'] }), WINDOWS, /^it needs zlib1\.dll$/],
  ['of more than 2 MB', Buffer.concat([dll(), LARGE]), WINDOWS, /^it has \d+ bytes, more than 2/],
  ['for macOS', mac(), WINDOWS, /^it is not a library of win32$/],
];

for (const [system, faulty] of [
  ['macOS', ON_MACOS],
  ['Windows', ON_WINDOWS],
] as const) {
  for (const [title, content, of, said] of faulty) {
    test(`an addon for ${system} ${title} is found`, (t) => {
      const found = faults(content, of);
      t.is(found.length, 1, found.join('\n'));
      t.regex(found[0] ?? '', said);
    });
  }
}

test('an addon for macOS or Windows that is cut off anywhere is found', (t) => {
  for (const [whole, of] of [
    [mac(), MAC_ARM],
    [dll(), WINDOWS],
  ] as const) {
    const system = of === MAC_ARM ? 'darwin' : 'win32';
    const short = new RegExp(`^it (?:is not a library of ${system}|cannot be read: )`);
    // Before, in and behind the header; in what it names, but for the zeros at its end.
    for (const size of [0, 1, 3, 20, 63, 100, whole.length >> 1, whole.length - 40]) {
      const found = faults(whole.subarray(0, size), of);
      t.true(
        found.some((fault) => short.test(fault)),
        `${system}, ${size} bytes: ${found.join(', ')}`,
      );
    }
  }
});

test('a header that counts more than there is ends the reading', (t) => {
  const [commands, symbols] = [mac(), mac()];
  commands.writeUInt32LE(0xffffffff, 16);
  t.deepEqual(faults(commands, MAC_ARM), ['it cannot be read: a command leaves the header']);
  const table = symbols.indexOf(Buffer.from([2, 0, 0, 0, 24, 0, 0, 0]));
  symbols.writeUInt32LE(0xffffffff, table + 12);
  t.regex(faults(symbols, MAC_ARM).join('\n'), /^it cannot be read: it ends before \d+$/);
  const names = dll();
  const exports = 0x200 + names.readUInt32LE(0x40 + 24 + 112) - 0x1000;
  names.writeUInt32LE(0xffffffff, exports + 24);
  t.regex(faults(names, WINDOWS).join('\n'), /^it cannot be read: /);
});
