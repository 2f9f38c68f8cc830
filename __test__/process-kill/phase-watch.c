/* How far a commit of the JSON store has come, told from outside of the code that commits.
 *
 * Preloaded into a process (LD_PRELOAD), it watches the calls by which a commit goes forward and
 * keeps the phase in a page of the file PHASE_FILE, which outlives the process: who finds it
 * killed reads there where it was. If DIE_AT says `PHASE:COUNT`, the process kills itself when it
 * gets to that phase for the COUNT-th time, right after the call that led there.
 *
 * One thread commits, the one that has the lock: what others do beside it does not count, and who
 * waits beside it does not hide it.
 *
 * With NO_LOCK, locking a lock file does nothing, and a rename is held up, so that others get in
 * after the last look that precedes it: so the harness shows that it would notice.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

/* The order of the names in phases.ts. */
enum phase { IDLE, WAITING, LOCKED, CREATED, WRITTEN, SYNCED, RENAMED, DIRECTORY_SYNCED };

/* Longer than another commit takes. */
#define HELD_UP_MICROSECONDS 3000

static volatile unsigned char *page;
static int die_at = -1;
static int die_after;
static int no_lock;
static __thread enum phase here;

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("PHASE_FILE");
  const char *aim = getenv("DIE_AT");
  no_lock = getenv("NO_LOCK") != NULL;
  int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) abort();
  page = mapped;
  if (aim && sscanf(aim, "%d:%d", &die_at, &die_after) != 2) abort();
}

static void reach(enum phase phase) {
  int saved = errno;
  here = phase;
  if (page && !(phase == WAITING && *page > WAITING)) *page = (unsigned char)phase;
  if ((int)phase == die_at && --die_after == 0) kill(getpid(), SIGKILL);
  errno = saved;
}

/* Whether a descriptor's file has a name that ends so, or (from the last slash on) begins so. */
static int is_named(int fd, const char *begin, const char *end) {
  char link[64], name[PATH_MAX + 1];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, PATH_MAX);
  if (length < 0) return 0;
  name[length] = 0;
  const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
  size_t base_length = strlen(base), end_length = strlen(end);
  return strncmp(base, begin, strlen(begin)) == 0 && base_length >= end_length &&
         strcmp(base + base_length - end_length, end) == 0;
}

#define IS_LOCK(fd) is_named(fd, "", ".lock")
#define IS_TEMPORARY(fd) is_named(fd, ".tidemark-", ".tmp")

/* The C library's own function of this name. */
#define NEXT(name) \
  static __typeof__(&name) next; \
  if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int flock(int fd, int operation) {
  NEXT(flock);
  int saved = errno, lock = IS_LOCK(fd), frees = operation & LOCK_UN;
  errno = saved;
  if (lock && !frees) reach(WAITING);
  int result = lock && no_lock ? 0 : next(fd, operation);
  if (result == 0 && lock) reach(frees ? IDLE : LOCKED);
  if (result == 0 && !frees && here == LOCKED && IS_TEMPORARY(fd)) reach(CREATED);
  return result;
}

/* Some free a lock by closing its file. Another thread may have it right after that, and must not
 * have its phase overwritten: so it is told before. */
int close(int fd) {
  NEXT(close);
  int saved = errno;
  if (here >= LOCKED && IS_LOCK(fd)) reach(IDLE);
  errno = saved;
  return next(fd);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
  NEXT(pwrite64);
  ssize_t result = next(fd, from, size, at);
  if (result == (ssize_t)size && here == CREATED) reach(WRITTEN);
  return result;
}

int fsync(int fd) {
  NEXT(fsync);
  int result = next(fd);
  if (result == 0 && here == WRITTEN) reach(SYNCED);
  else if (result == 0 && here == RENAMED) reach(DIRECTORY_SYNCED);
  return result;
}

int rename(const char *from, const char *to) {
  NEXT(rename);
  if (no_lock) usleep(HELD_UP_MICROSECONDS);
  int result = next(from, to);
  if (result == 0 && here == SYNCED) reach(RENAMED);
  return result;
}

/* A stray that was locked to be swept is gone: the commit is as far as it was before. */
int unlink(const char *name) {
  NEXT(unlink);
  int result = next(name);
  if (here == CREATED) reach(LOCKED);
  return result;
}
