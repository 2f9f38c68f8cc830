// What licences allow us to take a package under, and where its text is among the package's files.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { SetupError, root } from './project.mjs';

/**
 * The licences that we take packages under, the one with the shortest duties first, and words that
 * are in the text of this one alone. Each lets everybody pass on what contains the package, under
 * terms of his own, with its notices. Another one is a decision of a review.
 * @type {Record<string, RegExp>}
 */
const ALLOWED = {
  Zlib: /This software is provided 'as-is', without any express or implied warranty/,
  MIT: /Permission is hereby granted, free of charge, to any person obtaining a copy/,
  ISC: /Permission to use, copy, modify, and\/or distribute this software for any purpose/,
  'Unicode-3.0': /UNICODE LICENSE V3/,
  'BSD-2-Clause': /Redistribution and use in source and binary forms(?!.*Neither the name)/,
  'BSD-3-Clause': /Redistribution and use in source and binary forms.*Neither the name/,
  'Apache-2.0': /Apache License Version 2\.0, January 2004(?!.*LLVM Exceptions)/,
};
const RANK = Object.keys(ALLOWED);

/** What is passed on beside a licence. */
const NOTICE = /^(?:copyright|notice)(?:[.-]|$)/i;
const LICENCE = /^(?:licen[cs]e|copying)(?:[.-]|$)/i;

/**
 * Packages without the text of their licence: where it is, in another package of the same
 * repository, which is compared.
 * @type {Record<string, string>}
 */
const IN_REPOSITORY_OF = {
  'github.com/napi-rs/napi-rs': 'node_modules/@napi-rs/cli',
};

/** @param {string} text */
const oneLine = (text) => text.replaceAll(/\s+/g, ' ');

/**
 * The choices that an SPDX expression leaves: lists of licences that hold together.
 * @param {string} expression `/` is an OR of older manifests
 * @returns {string[][]}
 */
export function choices(expression) {
  const tokens = expression.match(/[()/]|[^()/\s]+/g) ?? [];
  const fail = () => new SetupError(`an SPDX expression that is not understood: ${expression}`);
  /** @returns {string[][]} */
  const either = () => {
    const all = both();
    while (tokens[0] === 'OR' || tokens[0] === '/') {
      tokens.shift();
      all.push(...both());
    }
    return all;
  };
  /** @returns {string[][]} */
  const both = () => {
    let all = one();
    while (tokens[0] === 'AND') {
      tokens.shift();
      const others = one();
      all = all.flatMap((some) => others.map((more) => [...some, ...more]));
    }
    return all;
  };
  /** @returns {string[][]} */
  const one = () => {
    const token = tokens.shift();
    if (token === '(') {
      const inner = either();
      if (tokens.shift() !== ')') throw fail();
      return inner;
    }
    if (token === undefined || /^(?:[)/]|AND|OR|WITH)$/.test(token)) throw fail();
    if (tokens[0] !== 'WITH') return [[token]];
    tokens.shift();
    return [[`${token} WITH ${tokens.shift()}`]];
  };
  const found = either();
  if (tokens.length > 0) throw fail();
  return found;
}

/**
 * The licences that we take a package under: of what is allowed, what asks least of those who pass
 * it on.
 * @param {string} name for the message
 * @param {string | null} expression
 */
export function elect(name, expression) {
  const allowed = choices(expression ?? 'none').filter((some) =>
    some.every((licence) => Object.hasOwn(ALLOWED, licence)),
  );
  const worst = (/** @type {string[]} */ some) => Math.max(...some.map((id) => RANK.indexOf(id)));
  const [best] = allowed.toSorted((a, b) => worst(a) - worst(b));
  if (best === undefined) {
    throw new SetupError(`${name} is under ${expression}: not among ${RANK.join(', ')}`);
  }
  return best;
}

/**
 * @param {string} directory
 * @param {RegExp} name
 */
function texts(directory, name) {
  const names = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => path.join(directory, entry.name));
  return names.toSorted().map((file) => readFileSync(file, 'utf8'));
}

/** @param {string | null | undefined} url */
const place = (url) => url?.replace(/^(?:git\+)?https?:\/\//, '').replace(/\.git$|\/$/, '') ?? '';

/**
 * The texts that have to be passed on with a package, as they are in its files.
 * @param {{ name: string, directory: string, repository: string | null }} of
 * @param {string[]} elected
 */
export function textsOf({ name, directory, repository }, elected) {
  const own = texts(directory, LICENCE);
  const licences = elected.map((id) => {
    const isIt = (/** @type {string} */ text) => ALLOWED[id]?.test(oneLine(text));
    const found = own.find(isIt) ?? fromRepository(repository).find(isIt);
    if (found === undefined) throw new SetupError(`${name} brings no text of its licence ${id}`);
    return found;
  });
  return [...texts(directory, NOTICE), ...licences];
}

/** @param {string | null} repository */
function fromRepository(repository) {
  const folder = IN_REPOSITORY_OF[place(repository)];
  if (folder === undefined) return [];
  const directory = path.join(root, folder);
  const manifest = path.join(directory, 'package.json');
  if (!existsSync(manifest)) throw new SetupError(`${folder} is missing: npm ci`);
  const theirs = JSON.parse(readFileSync(manifest, 'utf8')).repository.url;
  if (place(theirs) !== place(repository)) {
    throw new SetupError(`${folder} is not of ${repository}: look for the licence elsewhere`);
  }
  return texts(directory, LICENCE);
}
