/* A disk that is full, for whom no small one can be mounted.
 *
 * Preloaded into a process (LD_PRELOAD), it answers ENOSPC to every write into a regular file below
 * the directory FULL_DISK. Other files, sockets and pipes are written to as ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_full(int fd) {
  const char *full = getenv("FULL_DISK");
  char link[64], name[PATH_MAX];
  if (!full) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name);
  size_t prefix = strlen(full);
  return length > (ssize_t)prefix && !memcmp(name, full, prefix) && name[prefix] == '/';
}

ssize_t write(int fd, const void *bytes, size_t count) {
  static ssize_t (*next)(int, const void *, size_t);
  if (!next) next = dlsym(RTLD_NEXT, "write");
  int saved = errno;
  if (is_full(fd)) return errno = ENOSPC, -1;
  errno = saved;
  return next(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
  int saved = errno;
  if (is_full(fd)) return errno = ENOSPC, -1;
  errno = saved;
  return next(fd, bytes, count, offset);
}
