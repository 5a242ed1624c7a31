/* Ends the process at the n-th call that changes a file below a path, for LD_PRELOAD.

   A call is counted, and noted with its path, before it is done. At the chosen one the process ends: of a write the first half is
   written, of any other call nothing is done. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENDED 77

static char below[PATH_MAX];
static size_t length;
static long chosen;
static atomic_long calls;
static char notes[1 << 20];
static atomic_size_t noted;

void fault_at(const char *path, long number) {
    strncpy(below, path, sizeof below - 1);
    chosen = number;
    atomic_store(&calls, 0);
    atomic_store(&noted, 0);
    length = strlen(below);
}

/* Lines of a call's name and its path, as many as there were calls. */
const char *fault_notes(void) { return notes; }

static int reached(const char *call, const char *path) {
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%s %s\n", call, path);
    size_t place = atomic_fetch_add(&noted, size);
    if (place + size < sizeof notes) memcpy(notes + place, line, size);
    return atomic_fetch_add(&calls, 1) + 1 == chosen;
}

static int names(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = 0;
    return size >= 0;
}

/* Whether a path is one that counts; `whole` is 3 * PATH_MAX long and takes it, absolute. */
static int path_counts(int folder, const char *path, char *whole) {
    if (!length || !path) return 0;
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
    } else {
        if (folder == AT_FDCWD || !names(folder, whole)) return 0;
        size_t end = strlen(whole);
        snprintf(whole + end, PATH_MAX, "/%s", path);
    }
    return strncmp(whole, below, length) == 0;
}

static int fd_counts(int fd, char *path) {
    return length && names(fd, path) && strncmp(path, below, length) == 0;
}

static void change(const char *call, int folder, const char *path) {
    char whole[3 * PATH_MAX];
    if (path_counts(folder, path, whole) && reached(call, whole)) _exit(ENDED);
}

static void change_fd(const char *call, int fd) {
    char path[PATH_MAX];
    if (fd_counts(fd, path) && reached(call, path)) _exit(ENDED);
}

static void change_either(const char *call, int a, const char *from, int b, const char *to) {
    char whole[3 * PATH_MAX];
    if ((path_counts(b, to, whole) || path_counts(a, from, whole)) && reached(call, whole)) _exit(ENDED);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (fd_counts(fd, path) && reached("write", path)) {
        REAL(write)(fd, data, size / 2);
        _exit(ENDED);
    }
    return REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    char path[PATH_MAX];
    if (fd_counts(fd, path) && reached("pwrite", path)) {
        REAL(pwrite)(fd, data, size / 2, place);
        _exit(ENDED);
    }
    return REAL(pwrite)(fd, data, size, place);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    char path[PATH_MAX];
    if (fd_counts(fd, path) && reached("pwrite64", path)) {
        REAL(pwrite64)(fd, data, size / 2, place);
        _exit(ENDED);
    }
    return REAL(pwrite64)(fd, data, size, place);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (fd_counts(fd, path) && reached("writev", path)) {
        REAL(writev)(fd, parts, count / 2);
        _exit(ENDED);
    }
    return REAL(writev)(fd, parts, count);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned int flags) {
    change_fd("copy_file_range", out);
    return REAL(copy_file_range)(in, from, out, to, size, flags);
}

ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    change_fd("sendfile", out);
    return ((ssize_t(*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile"))(out, in, from, size);
}

#define MODE(flags)                                  \
    mode_t mode = 0;                                 \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {         \
        va_list rest;                                \
        va_start(rest, flags);                       \
        mode = va_arg(rest, mode_t);                 \
        va_end(rest);                                \
    }

#define CHANGING (O_CREAT | O_TRUNC)

int open(const char *path, int flags, ...) {
    MODE(flags)
    if (flags & CHANGING) change("open", AT_FDCWD, path);
    return REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    if (flags & CHANGING) change("open", AT_FDCWD, path);
    return REAL(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    if (flags & CHANGING) change("open", folder, path);
    return REAL(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    if (flags & CHANGING) change("open", folder, path);
    return REAL(openat64)(folder, path, flags, mode);
}

int rename(const char *from, const char *to) {
    change_either("rename", AT_FDCWD, from, AT_FDCWD, to);
    return REAL(rename)(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    change_either("rename", a, from, b, to);
    return REAL(renameat)(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned int flags) {
    change_either("rename", a, from, b, to);
    return REAL(renameat2)(a, from, b, to, flags);
}

int link(const char *from, const char *to) {
    change("link", AT_FDCWD, to);
    return REAL(link)(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    change("link", b, to);
    return REAL(linkat)(a, from, b, to, flags);
}

int symlink(const char *from, const char *to) {
    change("symlink", AT_FDCWD, to);
    return REAL(symlink)(from, to);
}

int unlink(const char *path) {
    change("unlink", AT_FDCWD, path);
    return REAL(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    change("unlink", folder, path);
    return REAL(unlinkat)(folder, path, flags);
}

int rmdir(const char *path) {
    change("rmdir", AT_FDCWD, path);
    return REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode) {
    change("mkdir", AT_FDCWD, path);
    return REAL(mkdir)(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    change("mkdir", folder, path);
    return REAL(mkdirat)(folder, path, mode);
}

int ftruncate(int fd, off_t size) {
    change_fd("ftruncate", fd);
    return REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    change_fd("ftruncate", fd);
    return REAL(ftruncate64)(fd, size);
}

int fsync(int fd) {
    change_fd("fsync", fd);
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    change_fd("fdatasync", fd);
    return REAL(fdatasync)(fd);
}
