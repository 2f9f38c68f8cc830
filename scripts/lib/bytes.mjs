// What the readers of ELF, Mach-O and PE files share. A place that is not in the file is an error:
// whatever is told of a file that is cut off would be made up.

/**
 * The text that begins at a place and ends with a zero byte.
 * @param {Buffer} file
 * @param {number} at
 */
export function text(file, at) {
  const end = file.indexOf(0, at);
  if (at >= file.length || end < 0) throw new Error(`no text ends behind ${at}`);
  return file.toString('latin1', at, end);
}

/**
 * A part of a file, all of it.
 * @param {Buffer} file
 * @param {number} start
 * @param {number} size
 */
export function part(file, start, size) {
  if (start + size > file.length) throw new Error(`it ends before ${start + size}`);
  return file.subarray(start, start + size);
}
