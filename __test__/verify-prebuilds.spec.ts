// scripts/verify-prebuilds.mjs judges what a release ships, by the files alone: each fault that it
// is for, planted in a copy of the addon that the tests load, is found.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { thisPlatform } from '../src/targets.ts';
import { root } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';
import { type Where, verdict as judge, verify } from './support/verdict.ts';

const X64 = 'x86_64-unknown-linux-gnu';
const { platform, arch, libc } = thisPlatform();
const judged = platform === 'linux' && arch === 'x64' && libc === 'glibc';
const linux = judged ? test : test.skip; // the faults are planted in an ELF file for x64 and glibc

/** The sections of an ELF file by their type. */
function section(elf: Buffer, type: number): { offset: number; size: number } {
  const headers = Number(elf.readBigUInt64LE(40));
  for (let index = 0; index < elf.readUInt16LE(60); index += 1) {
    const at = headers + index * elf.readUInt16LE(58);
    if (elf.readUInt32LE(at + 4) !== type) continue;
    const [offset, size] = [elf.readBigUInt64LE(at + 24), elf.readBigUInt64LE(at + 32)];
    return { offset: Number(offset), size: Number(size) };
  }
  throw new Error(`no section of type ${type}`);
}
const DYNAMIC = 6;
const STRINGS = 3;

const addon = (): Buffer =>
  readFileSync(path.join(root, 'prebuilds/linux-x64/node.napi.glibc.node'));

const HERE: Where = { target: X64, file: 'linux-x64/node.napi.glibc.node' };

const verdict = (t: ExecutionContext, content: Buffer, where = HERE): string =>
  judge(t, content, where);

linux('the addon itself has none of these faults, and is named with its SHA-256', (t) => {
  const content = addon();
  const said = verdict(t, content);
  // A development build is larger, and links against the C library of this machine.
  const faults = said.split('\n').filter((line) => line.startsWith(X64));
  const others = faults.filter((line) => !/it has \d+ bytes|it needs glibc/.test(line));
  t.deepEqual(others, []);
  t.true(said.includes(`${createHash('sha256').update(content).digest('hex')}  linux-x64/`));
});

linux('an addon for another machine is found', (t) => {
  const content = addon();
  content.writeUInt16LE(0xb7, 18);
  t.regex(verdict(t, content), /: it is for arm64\n/);
});

linux('an addon that is no shared library is found', (t) => {
  const content = addon();
  content.writeUInt16LE(2, 16);
  t.regex(verdict(t, content), /: it is not a shared library\n/);
});

linux('an addon that needs a newer glibc than promised is found', (t) => {
  const content = addon();
  const at = content.indexOf('GLIBC_2.14\0');
  t.true(at > 0);
  content.write('GLIBC_2.99', at);
  t.regex(verdict(t, content), /: it needs glibc 2\.99, newer than 2\.17: .*--use-napi-cross\n/);
});

/** A symbol's version says whose it is: 0 is nobody's, 1 is whoever has it. */
function forgetVersions(elf: Buffer): void {
  const versions = section(elf, 0x6fffffff);
  for (let at = 0; at < versions.size; at += 2) elf.writeUInt16LE(1, versions.offset + at);
}

linux('an addon that needs another library, or a symbol that no library has, is found', (t) => {
  const content = addon();
  // Names of its own table of strings: the first is that of dynamic symbols.
  const { offset, size } = section(content, STRINGS);
  const names = content.subarray(offset, offset + size);
  names.write('libx', names.indexOf('libgcc_s.so.1\0'));
  t.regex(verdict(t, content), /: it needs libxcc_s\.so\.1\n/);
  forgetVersions(content);
  t.regex(verdict(t, content), /: nobody it needs has the symbol .* and \d+ more\n/);
});

linux('an addon that Node could unload is found', (t) => {
  const content = addon();
  const { offset, size } = section(content, DYNAMIC);
  for (let at = offset; at < offset + size; at += 16) {
    if (content.readBigUInt64LE(at) === 0x6ffffffbn) content.writeBigUInt64LE(0n, at + 8);
  }
  t.regex(verdict(t, content), /: it is not linked with -z nodelete\n/);
});

/** Where a segment of a type is described. */
function segment(elf: Buffer, type: number): number {
  const headers = Number(elf.readBigUInt64LE(32));
  for (let index = 0; index < elf.readUInt16LE(56); index += 1) {
    const at = headers + index * elf.readUInt16LE(54);
    if (elf.readUInt32LE(at) === type) return at;
  }
  throw new Error(`no segment of type ${type}`);
}

/** Puts another entry in the place of one of the dynamic section. */
function redirect(elf: Buffer, from: bigint, to: bigint, value?: bigint): void {
  const { offset, size } = section(elf, DYNAMIC);
  for (let at = offset; at < offset + size; at += 16) {
    if (elf.readBigUInt64LE(at) !== from) continue;
    elf.writeBigUInt64LE(to, at);
    if (value !== undefined) elf.writeBigUInt64LE(value, at + 8);
    return;
  }
  throw new Error(`no entry ${from}`);
}

linux('an addon that searches for libraries where it was built is found', (t) => {
  const content = addon();
  const strings = section(content, STRINGS);
  const at = content.indexOf('libgcc_s.so.1\0', strings.offset) - strings.offset;
  redirect(content, 1n, 29n, BigInt(at));
  t.regex(verdict(t, content), /: it searches for libraries in libgcc_s\.so\.1\n/);
});

linux('an addon that can be loaded at the start of a process only is found', (t) => {
  const content = addon();
  // In the place of an entry that every linker writes, and after the flags, if there are any.
  redirect(content, 0x6fffffffn, 30n, 0x18n);
  t.regex(verdict(t, content), /: its TLS is only for the program itself\n/);
});

linux('an addon that makes every stack executable is found', (t) => {
  const content = addon();
  content.writeUInt32LE(7, segment(content, 0x6474e551) + 4);
  t.regex(verdict(t, content), /: it wants a stack that can be executed\n/);
});

linux('an addon for arm64 that fits 4 KiB pages only is found', (t) => {
  const content = addon();
  content.writeUInt16LE(0xb7, 18);
  const where = { target: 'aarch64-unknown-linux-gnu', file: 'linux-arm64/node.napi.glibc.node' };
  t.is(Number(content.readBigUInt64LE(segment(content, 1) + 48)), 4096);
  t.regex(verdict(t, content, where), /: it cannot be mapped with pages of 65536 bytes\n/);
});

linux('an addon that is not one of Node is found', (t) => {
  const content = addon();
  content.write('X', content.indexOf('napi_register_module_v1\0'));
  t.regex(verdict(t, content), /: it does not export napi_register_module_v1\n/);
});

linux('an addon for glibc in the place of one for musl is found', (t) => {
  const where = { target: 'x86_64-unknown-linux-musl', file: 'linux-x64/node.napi.musl.node' };
  t.regex(verdict(t, addon(), where), /: it is linked against glibc\n/);
});

linux('an addon for musl, which has no versions, in the place of one for glibc is found', (t) => {
  const content = addon();
  forgetVersions(content);
  t.regex(verdict(t, content), /: it is not linked against glibc\n/);
});

linux('an addon of another system is found', (t) => {
  for (const [target, file] of [
    ['aarch64-apple-darwin', 'darwin-arm64/node.napi.node'],
    ['x86_64-pc-windows-msvc', 'win32-x64/node.napi.node'],
  ] as const) {
    t.regex(verdict(t, addon(), { target, file }), /: it is not a library of (darwin|win32)\n/);
  }
});

linux('an addon that is cut off is found', (t) => {
  for (const size of [0, 3]) {
    t.regex(verdict(t, addon().subarray(0, size)), /: it is not a library of linux\n/);
  }
  t.regex(verdict(t, addon().subarray(0, 60)), /: it cannot be read: /);
  t.regex(verdict(t, addon().subarray(0, 100_000)), /: it cannot be read: /);
});

linux('an addon of more than 2 MB is found', (t) => {
  const large = Buffer.concat([addon(), Buffer.alloc(2_000_000)]);
  t.regex(verdict(t, large), /: it has \d+ bytes, more than 2000000\n/);
});

test('without a target each of them must be there, and nothing else', (t) => {
  const directory = tempDir(t);
  mkdirSync(path.join(directory, 'linux-x64'));
  writeFileSync(path.join(directory, 'linux-x64/other.node'), '');
  const { status, stdout } = verify(['--directory', directory]);
  t.is(status, 1);
  t.is(stdout.match(/ is not there$/gm)?.length, 8);
  t.regex(stdout, /^linux-x64\/other\.node: nobody expects it$/m);
});
