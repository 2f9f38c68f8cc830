// Just enough of Rust's lexical structure to count lines and words without a compiler.

const TOKEN = new RegExp(
  [
    /\/\/[^\n]*/, // line comment
    /\/\*/, // block comment: these nest, its end is looked for by hand
    /\bb?c?r(#*)"[^]*?"\1/, // raw string
    /"(?:\\[^]|[^"\\])*"/, // string
    /'(?:\\u\{[0-9a-fA-F_]+\}|\\x..|\\.|[^'\\\n])'/, // character; a lifetime has no closing quote
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
);

/**
 * @param {string} text
 * @param {number} start of a block comment
 */
function blockCommentEnd(text, start) {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const pair = text.slice(at, at + 2);
    if (pair === '/*') depth += 1;
    if (pair === '*/') depth -= 1;
    if (pair === '/*' || pair === '*/') at += 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

/**
 * The source with comments, strings and characters blanked out; every line keeps its place.
 * @param {string} text
 */
export function codeOnly(text) {
  let out = '';
  let from = 0;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const end = match[0] === '/*' ? blockCommentEnd(text, match.index) : TOKEN.lastIndex;
    out += text.slice(from, match.index);
    out += text.slice(match.index, end).replaceAll(/[^\n]/g, ' ');
    from = end;
    TOKEN.lastIndex = end;
  }
  return out + text.slice(from);
}

/**
 * Lines that are not inside a `#[cfg(test)] mod name { ... }`.
 * @param {string} text
 */
export function linesWithoutTests(text) {
  const code = codeOnly(text);
  let count = text.split('\n').length - 1;
  for (const match of code.matchAll(/#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod\s+\w+\s*\{/g)) {
    let depth = 1;
    let at = match.index + match[0].length;
    while (depth > 0 && at < code.length) {
      if (code[at] === '{') depth += 1;
      if (code[at] === '}') depth -= 1;
      at += 1;
    }
    count -= code.slice(match.index, at).split('\n').length;
  }
  return count;
}

/**
 * The names of the functions that carry a test attribute.
 * @param {string} text
 */
export function testNames(text) {
  const tests = /#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn\s+(\w+)/g;
  return [...codeOnly(text).matchAll(tests)].map((match) => match[1] ?? '');
}

/**
 * How often unsafe code begins: blocks, functions, implementations, extern blocks. An attribute
 * (`#[unsafe(no_mangle)]`) and the lint's name do not count.
 * @param {string} text
 */
export const unsafeCount = (text) => [...codeOnly(text).matchAll(/\bunsafe\b(?!\s*[(_])/g)].length;

/**
 * The tables of a Cargo.toml with their plain `key = value` lines, in the order of the file.
 * @param {string} text
 * @returns {Map<string, Map<string, string>>}
 */
export function tomlTables(text) {
  const tables = new Map();
  let table = new Map();
  for (const line of text.split('\n')) {
    const header = /^\[+([^\]]+)\]+\s*(?:#.*)?$/.exec(line);
    const entry = /^"?([\w.-]+)"?\s*=\s*(.*)$/.exec(line);
    if (header !== null) {
      table = new Map();
      tables.set(header[1], table);
    } else if (entry !== null) {
      table.set(entry[1], entry[2]);
    }
  }
  return tables;
}
