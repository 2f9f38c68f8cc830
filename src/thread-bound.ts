// What is open belongs to the thread that opened it.

/**
 * Has a handle refuse to be posted to another thread, or cloned. Its private fields would stay
 * behind, and what arrives would be an object that fails at its first use. Not every version of
 * Node that we run on has a mark for that; but a symbol cannot be cloned, and the error shows its
 * words. JSON leaves it out.
 */
export function bindToThread(handle: object, what: string): void {
  const value = Symbol(`${what} belongs to the thread that opened it, and`);
  Object.defineProperty(handle, 'boundToThread', { value, enumerable: true });
}
