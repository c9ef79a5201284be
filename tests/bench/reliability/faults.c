/* Preloaded: fails the n-th write (or read) below a folder, in whichever process of a run it happens.
 *
 * FAULTS_FOLDER is the folder, FAULTS_CONTROL a file of four int64 that all processes map: the calls counted
 * so far, the one to fail (0: none), the errno, and which calls count (0: writes, 1: reads). A full disk
 * (ENOSPC) fails all that follow, too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile int64_t *control;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULTS_CONTROL");
  folder = getenv("FAULTS_FOLDER");
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  int descriptor = path && folder ? real_open(path, O_RDWR) : -1;
  if (descriptor < 0) return;
  void *mapped = mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (mapped != MAP_FAILED) control = mapped;
  close(descriptor);
}

/* Whether this call, below the folder, fails. */
static int fails_as(int64_t kind) {
  if (control[3] != kind) return 0;
  int64_t number = __atomic_add_fetch(&control[0], 1, __ATOMIC_SEQ_CST);
  int64_t at = control[1];
  if (!at || (control[2] == ENOSPC ? number < at : number != at)) return 0;
  errno = (int)control[2];
  return 1;
}

static int fails(void) { return fails_as(0); }

static int below(const char *path) {
  size_t length = control ? strlen(folder) : 0;
  return control && path && strncmp(path, folder, length) == 0 && path[length] == '/';
}

static int open_below(int descriptor) {
  char name[64], path[PATH_MAX];
  if (!control || descriptor < 3) return 0;
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return below(path);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define ON_OPEN(name, parameters, arguments, result) \
  result name parameters { REAL(name); return open_below(descriptor) && fails() ? -1 : real arguments; }
#define ON_READ(name, parameters, arguments) \
  ssize_t name parameters { REAL(name); return open_below(descriptor) && fails_as(1) ? -1 : real arguments; }
#define ON_PATH(name, parameters, arguments) \
  int name parameters { REAL(name); return below(path) && fails() ? -1 : real arguments; }

ON_OPEN(write, (int descriptor, const void *data, size_t size), (descriptor, data, size), ssize_t)
ON_OPEN(pwrite, (int descriptor, const void *data, size_t size, off_t at), (descriptor, data, size, at), ssize_t)
ON_OPEN(pwrite64, (int descriptor, const void *data, size_t size, off64_t at), (descriptor, data, size, at), ssize_t)
ON_OPEN(writev, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count), ssize_t)
ON_OPEN(pwritev, (int descriptor, const struct iovec *parts, int count, off_t at), (descriptor, parts, count, at), ssize_t)
ON_OPEN(pwritev64, (int descriptor, const struct iovec *parts, int count, off64_t at), (descriptor, parts, count, at), ssize_t)
ON_OPEN(ftruncate, (int descriptor, off_t size), (descriptor, size), int)
ON_OPEN(ftruncate64, (int descriptor, off64_t size), (descriptor, size), int)
ON_OPEN(fsync, (int descriptor), (descriptor), int)
ON_OPEN(fdatasync, (int descriptor), (descriptor), int)
ON_READ(read, (int descriptor, void *data, size_t size), (descriptor, data, size))
ON_READ(pread, (int descriptor, void *data, size_t size, off_t at), (descriptor, data, size, at))
ON_READ(pread64, (int descriptor, void *data, size_t size, off64_t at), (descriptor, data, size, at))
ON_READ(readv, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH(link, (const char *from, const char *path), (from, path))
ON_PATH(rename, (const char *from, const char *path), (from, path))
ON_PATH(renameat2, (int first, const char *from, int second, const char *path, unsigned flags), (first, from, second, path, flags))

#include <sys/sendfile.h>
ssize_t sendfile(int descriptor, int from, off_t *at, size_t size) {
  REAL(sendfile);
  return open_below(descriptor) && fails() ? -1 : real(descriptor, from, at, size);
}

ssize_t copy_file_range(int from, off64_t *at, int descriptor, off64_t *to, size_t size, unsigned flags) {
  REAL(copy_file_range);
  return open_below(descriptor) && fails() ? -1 : real(from, at, descriptor, to, size, flags);
}

#define ON_CREATE(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return flags & O_CREAT && below(path) && fails() ? -1 : real(path, flags, mode); \
  }
ON_CREATE(open)
ON_CREATE(open64)
