/* A disk that may fill up, tear a write, or lose what was not synced: loaded in front of libc by `headrace chaos`.
 *
 * It does nothing until a process arms it, and then only to files below one folder. It remembers, in a second folder
 * (the shadow), what a power cut leaves for certain:
 *
 *   c.INODE  the bytes of a file as they were when it was last synced
 *   d.INODE  the names in a directory as they were when that was last synced, a line each: INODE NAME
 *   g.INODE  a file that has no name any more: kept, so that no other file gets its number
 *
 * `power_cut.py` makes from these what the disk may look like after the cut. Nothing is ever synced in earnest.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))

static char root[4096], shadow[4096];
static size_t root_length;
static int armed, remembers;
static long full_after = -1, refusals, torn_write = -1;
static double torn_share;
static long grown, writes, refused;
static atomic_long drafts;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

/* Begin. Called in a process that has one thread. An empty `in_shadow`: no power cut follows, nothing is remembered. */
int headrace_chaos_arm(const char *in_root, const char *in_shadow, long in_full_after, long in_refusals,
                       long in_torn_write, double in_torn_share) {
    snprintf(root, sizeof root, "%s", in_root);
    snprintf(shadow, sizeof shadow, "%s", in_shadow);
    root_length = strlen(root);
    remembers = shadow[0] != 0;
    full_after = in_full_after;
    refusals = in_refusals;
    torn_write = in_torn_write;
    torn_share = in_torn_share;
    grown = writes = refused = 0;
    armed = 1;
    return 0;
}

/* Return how many writes were refused. */
long headrace_chaos_refused(void) { return refused; }

static int is_ours(int fd) {
    char link[64], path[4096];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < (ssize_t)root_length) return 0;
    path[length] = 0;
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Return how many bytes may be written at an offset (-1: where the file stands); -1 with ENOSPC where none may be.
 * Only what makes a file longer takes space. Dies here where the write is to be torn, after `tear` wrote its part. */
static ssize_t room_for(int fd, size_t count, off_t at, ssize_t (*tear)(int, const void *, size_t, off_t),
                        const void *bytes) {
    if (!count || !is_ours(fd)) return count;
    pthread_mutex_lock(&turn);
    ssize_t allowed = count;
    if (++writes == torn_write) {
        size_t part = (size_t)(torn_share * count);
        if (bytes && part) tear(fd, bytes, part, at);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (full_after >= 0) {
        struct stat is;
        if (fstat(fd, &is)) is.st_size = 0;
        if (at < 0) at = fcntl(fd, F_GETFL) & O_APPEND ? is.st_size : lseek(fd, 0, SEEK_CUR);
        long growth = at + (long)count - is.st_size;
        if (growth > 0) {
            long left = full_after - grown;
            if (growth > left) {
                long fits = (long)count - (growth - left);
                if (fits > 0) {
                    allowed = fits; /* a short write, as disks that fill up give */
                    grown = full_after;
                } else if (refusals-- > 0) {
                    refused++;
                    errno = ENOSPC;
                    allowed = -1;
                } else {
                    full_after = -1; /* somebody made space */
                }
            } else {
                grown += growth;
            }
        }
    }
    pthread_mutex_unlock(&turn);
    return allowed;
}

static ssize_t tear_write(int fd, const void *bytes, size_t count, off_t at) {
    return at < 0 ? REAL(write)(fd, bytes, count) : REAL(pwrite)(fd, bytes, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static __typeof__(&write) libc;
    if (!libc) libc = REAL(write);
    if (!armed) return libc(fd, bytes, count);
    ssize_t allowed = room_for(fd, count, -1, tear_write, bytes);
    return allowed < 0 ? -1 : libc(fd, bytes, allowed);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    static __typeof__(&pwrite) libc;
    if (!libc) libc = REAL(pwrite);
    ssize_t allowed = room_for(fd, count, at, tear_write, bytes);
    return allowed < 0 ? -1 : libc(fd, bytes, allowed, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return pwrite(fd, bytes, count, at); }

static size_t length_of(const struct iovec *parts, int number) {
    size_t length = 0;
    for (int each = 0; each < number; each++) length += parts[each].iov_len;
    return length;
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
    ssize_t allowed = room_for(fd, length_of(parts, number), -1, tear_write, NULL);
    if (allowed < 0) return -1;
    size_t first = parts[0].iov_len < (size_t)allowed ? parts[0].iov_len : (size_t)allowed;
    if ((size_t)allowed < length_of(parts, number)) return REAL(write)(fd, parts[0].iov_base, first);
    return REAL(writev)(fd, parts, number);
}

ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t at) {
    ssize_t allowed = room_for(fd, length_of(parts, number), at, tear_write, NULL);
    if (allowed < 0) return -1;
    size_t first = parts[0].iov_len < (size_t)allowed ? parts[0].iov_len : (size_t)allowed;
    if ((size_t)allowed < length_of(parts, number)) return REAL(pwrite)(fd, parts[0].iov_base, first, at);
    return REAL(pwritev)(fd, parts, number, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int number, off64_t at) { return pwritev(fd, parts, number, at); }

int posix_fallocate(int fd, off_t at, off_t length) {
    if (is_ours(fd) && full_after >= 0 && room_for(fd, length, at, tear_write, NULL) < length) return ENOSPC;
    return REAL(posix_fallocate)(fd, at, length);
}

int posix_fallocate64(int fd, off64_t at, off64_t length) { return posix_fallocate(fd, at, length); }

int fallocate(int fd, int mode, off_t at, off_t length) {
    if (is_ours(fd) && full_after >= 0 && room_for(fd, length, at, tear_write, NULL) < length) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(fallocate)(fd, mode, at, length);
}

int fallocate64(int fd, int mode, off64_t at, off64_t length) { return fallocate(fd, mode, at, length); }

static int seems_full(void) { return armed && full_after >= 0 && grown >= full_after; }

int statvfs(const char *path, struct statvfs *about) {
    int result = REAL(statvfs)(path, about);
    if (!result && seems_full()) about->f_bavail = about->f_bfree = 0;
    return result;
}

int statvfs64(const char *path, struct statvfs64 *about) {
    int result = REAL(statvfs64)(path, about);
    if (!result && seems_full()) about->f_bavail = about->f_bfree = 0;
    return result;
}

/* ---- what lasts -------------------------------------------------------------------------------------------------- */

static int draft(char *path, size_t size) {
    snprintf(path, size, "%s/t.%d.%ld", shadow, getpid(), atomic_fetch_add(&drafts, 1));
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void remember_file(int fd, ino_t inode) {
    char link[64], path[4200], name[4200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = open(link, O_RDONLY | O_CLOEXEC);
    if (from < 0) return;
    int into = draft(path, sizeof path);
    char *bytes = malloc(1 << 16);
    ssize_t count;
    while (into >= 0 && bytes && (count = read(from, bytes, 1 << 16)) > 0)
        if (REAL(write)(into, bytes, count) != count) break;
    free(bytes);
    close(from);
    close(into);
    snprintf(name, sizeof name, "%s/c.%lu", shadow, (unsigned long)inode);
    REAL(rename)(path, name);
}

static void remember_folder(int fd, ino_t inode) {
    char link[64], path[4200], name[4200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0) return;
    DIR *folder = fdopendir(again);
    int into = draft(path, sizeof path);
    FILE *list = into < 0 ? NULL : fdopen(into, "w");
    for (struct dirent *each; list && folder && (each = readdir(folder));)
        if (strcmp(each->d_name, ".") && strcmp(each->d_name, ".."))
            fprintf(list, "%lu %s\n", (unsigned long)each->d_ino, each->d_name);
    if (folder) closedir(folder);
    if (list) fclose(list);
    snprintf(name, sizeof name, "%s/d.%lu", shadow, (unsigned long)inode);
    REAL(rename)(path, name);
}

static int synced(int fd, int (*libc)(int)) {
    struct stat is;
    if (!is_ours(fd)) return libc(fd);
    if (remembers && !fstat(fd, &is)) {
        if (S_ISREG(is.st_mode)) remember_file(fd, is.st_ino);
        if (S_ISDIR(is.st_mode)) remember_folder(fd, is.st_ino);
    }
    return 0;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }

int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

static void bury(int folder, const char *path) {
    struct stat is;
    char name[4200];
    if (!armed || !remembers || fstatat(folder, path, &is, AT_SYMLINK_NOFOLLOW) || !S_ISREG(is.st_mode)) return;
    snprintf(name, sizeof name, "%s/g.%lu", shadow, (unsigned long)is.st_ino);
    linkat(folder, path, AT_FDCWD, name, 0);
}

int unlink(const char *path) {
    int before = errno;
    bury(AT_FDCWD, path);
    errno = before;
    return REAL(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    int before = errno;
    if (!(flags & AT_REMOVEDIR)) bury(folder, path);
    errno = before;
    return REAL(unlinkat)(folder, path, flags);
}

int remove(const char *path) {
    int before = errno;
    bury(AT_FDCWD, path);
    errno = before;
    return REAL(remove)(path);
}

int rename(const char *from, const char *into) {
    int before = errno;
    bury(AT_FDCWD, into);
    errno = before;
    return REAL(rename)(from, into);
}

int renameat(int folder, const char *from, int other, const char *into) {
    int before = errno;
    bury(other, into);
    errno = before;
    return REAL(renameat)(folder, from, other, into);
}

int renameat2(int folder, const char *from, int other, const char *into, unsigned int flags) {
    int before = errno;
    bury(other, into);
    errno = before;
    return REAL(renameat2)(folder, from, other, into, flags);
}

/* A new directory may have the number of one that is gone: what was remembered of that one is not about it. */
static int made(int result, int folder, const char *path) {
    struct stat is;
    char name[4200];
    if (!result && armed && remembers && !fstatat(folder, path, &is, 0)) {
        snprintf(name, sizeof name, "%s/d.%lu", shadow, (unsigned long)is.st_ino);
        REAL(unlink)(name);
        errno = 0;
    }
    return result;
}

int mkdir(const char *path, mode_t mode) { return made(REAL(mkdir)(path, mode), AT_FDCWD, path); }

int mkdirat(int folder, const char *path, mode_t mode) { return made(REAL(mkdirat)(folder, path, mode), folder, path); }
