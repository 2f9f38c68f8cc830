// The Rust crates that are in the addon: what cargo links for any target that is shipped. Not what
// only builds or tests use, nor procedural macros, which run in the compiler.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { SetupError, outputOf, root } from './project.mjs';
import { SHIPPED } from './targets.mjs';

/** The crate that becomes the addon. */
export const ADDON = 'tidemark-node';

/**
 * @typedef {object} Crate
 * @property {string} name
 * @property {string} version
 * @property {string | null} license an SPDX expression
 * @property {string | null} repository
 * @property {string | null} description
 * @property {string} directory where its files are
 * @property {string | undefined} checksum SHA-256 of its archive; undefined for a crate of ours
 * @property {string[]} uses crates of this list: `name@version`
 */

/** @param {{ name: string, version: string }} of */
export const idOf = ({ name, version }) => `${name}@${version}`;

/** @param {string[]} args */
function cargo(args) {
  const output = outputOf('cargo', [...args, '--locked']);
  if (output !== undefined) return output;
  throw new SetupError(
    `cargo ${args.join(' ')} failed: it needs Cargo.lock as it is, and crates.io`,
  );
}

/** What is linked, `name@version`, with the features of a build, which metadata only guesses. */
function linkedIds() {
  const edges = ['--package', ADDON, '--edges', 'normal,no-proc-macro'];
  const targets = SHIPPED.flatMap((triple) => ['--target', triple]);
  const lines = cargo(['tree', ...edges, ...targets, '--prefix', 'none', '--no-dedupe']).split(
    '\n',
  );
  const ids = lines.flatMap((line) => {
    const [, name, version] = /^(\S+) v(\S+)/.exec(line) ?? [];
    return name === undefined || version === undefined ? [] : [idOf({ name, version })];
  });
  return new Set(ids);
}

/** The checksums of Cargo.lock, by `name@version`. */
function checksums() {
  const lock = readFileSync(path.join(root, 'Cargo.lock'), 'utf8');
  const entry = /^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "([0-9a-f]{64})"$/gm;
  return new Map(
    [...lock.matchAll(entry)].map(([, name = '', version = '', sum]) => [
      idOf({ name, version }),
      sum,
    ]),
  );
}

/**
 * Every crate of the addon, ours among them, sorted by name.
 * @returns {Crate[]}
 */
export function linkedCrates() {
  /** @type {{ packages: any[], resolve: { nodes: any[] } }} */
  const { packages, resolve } = JSON.parse(cargo(['metadata', '--format-version', '1']));
  const linked = linkedIds();
  const sums = checksums();
  const named = new Map(packages.map((one) => [one.id, idOf(one)]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const crates = packages
    .filter((one) => linked.has(idOf(one)))
    .map(({ id, name, version, license, repository, description, manifest_path: manifest }) => {
      const normal = nodes
        .get(id)
        .deps.filter((/** @type {any} */ dependency) =>
          dependency.dep_kinds.some((/** @type {any} */ { kind }) => kind === null),
        );
      const uses = normal.map((/** @type {any} */ { pkg }) => named.get(pkg));
      return {
        ...{ name, version, license, repository, description },
        directory: path.dirname(manifest),
        checksum: sums.get(idOf({ name, version })),
        uses: uses.filter((/** @type {string} */ used) => linked.has(used)).toSorted(),
      };
    });
  if (crates.length !== linked.size || !linked.has(idOf(ourVersion(crates)))) {
    throw new SetupError('cargo tree and cargo metadata do not speak of the same crates');
  }
  const key = (/** @type {Crate} */ crate) => idOf(crate);
  return crates.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** @param {Crate[]} crates */
function ourVersion(crates) {
  const ours = crates.find(({ name }) => name === ADDON);
  if (ours === undefined) throw new SetupError(`cargo knows no crate ${ADDON}`);
  return ours;
}
