declare module 'node-gyp-build' {
  const load: {
    /** Where the addon for this platform lies: under a package's directory, or where it is told. */
    resolve(directory: string): string;
  };
  export default load;
}
