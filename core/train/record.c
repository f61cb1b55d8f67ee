#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/error.h"

enum { BLOCK = 1 << 16, MAGIC = 8, SUM = 8 };

struct mllm_record {
    char *path, *beside; /* beside: NULL when reading */
    int fd;
    int failed; /* errno of the first failure, or -1 for a short file */
    uint64_t sum, left;
    size_t used, filled; /* of the block: written or read up to, valid bytes */
    unsigned char block[BLOCK];
};

/* Any change of one bit changes the sum: every step is a bijection of it. */
static uint64_t add_to_sum(uint64_t sum, const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, count - i < 8 ? count - i : 8);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 29;
    }
    return sum;
}

static void release(mllm_record *r) {
    if (r->fd >= 0) close(r->fd);
    mllm_free(r->path);
    mllm_free(r->beside);
    mllm_free(r);
}

static mllm_record *new_record(const char *path, mllm_error *err) {
    mllm_record *r = mllm_calloc(1, sizeof *r);
    char *copy = mllm_strndup(path, strlen(path));
    if (!r || !copy) {
        mllm_free(r);
        mllm_free(copy);
        mllm_fail_memory(err, sizeof *r, path);
        return NULL;
    }
    r->path = copy;
    r->fd = -1;
    return r;
}

/* -------------------------------------------------------------- writing */

static void write_all(mllm_record *r, const unsigned char *bytes, size_t count) {
    while (count && !r->failed) {
        ssize_t n = write(r->fd, bytes, count);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            r->failed = errno;
            return;
        }
        bytes += n;
        count -= (size_t)n;
    }
}

static void flush(mllm_record *r) {
    r->sum = add_to_sum(r->sum, r->block, r->used);
    write_all(r, r->block, r->used);
    r->used = 0;
}

mllm_record *mllm_record_create(const char *path, const char *magic, mllm_error *err) {
    mllm_record *r = new_record(path, err);
    if (!r) return NULL;
    size_t length = strlen(path) + sizeof ".part";
    r->beside = mllm_alloc(length);
    if (!r->beside) {
        mllm_fail_memory(err, length, path);
        release(r);
        return NULL;
    }
    snprintf(r->beside, length, "%s.part", path);
    r->fd = open(r->beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (r->fd < 0) {
        mllm_fail(err, MLLM_E_IO, "%s: cannot be written: %s", r->beside, strerror(errno));
        release(r);
        return NULL;
    }
    mllm_record_put(r, magic, MAGIC);
    return r;
}

void mllm_record_put(mllm_record *r, const void *bytes, size_t count) {
    const unsigned char *from = bytes;
    while (count) {
        size_t n = BLOCK - r->used < count ? BLOCK - r->used : count;
        memcpy(r->block + r->used, from, n);
        r->used += n;
        from += n;
        count -= n;
        if (r->used == BLOCK) flush(r);
    }
}

/* The rename is durable only when the directory is, too. */
static void sync_directory(const char *path) {
    char dir[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n >= sizeof dir) return;
    memcpy(dir, path, n);
    strcpy(dir + n, ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd); /* some file systems refuse it; the data itself is safe */
    close(fd);
}

mllm_code mllm_record_finish(mllm_record *r, mllm_error *err) {
    flush(r);
    write_all(r, (const unsigned char *)&r->sum, SUM);
    if (!r->failed && fsync(r->fd) != 0 && errno != EINVAL && errno != EROFS) r->failed = errno;
    if (close(r->fd) != 0 && !r->failed) r->failed = errno;
    r->fd = -1;
    if (!r->failed && rename(r->beside, r->path) != 0) r->failed = errno;
    mllm_code code = MLLM_OK;
    if (r->failed) {
        code = mllm_fail(err, MLLM_E_IO, "%s: cannot be written: %s", r->path, strerror(r->failed));
        unlink(r->beside);
    } else
        sync_directory(r->path);
    release(r);
    return code;
}

/* -------------------------------------------------------------- reading */

/* Fills the block; the number of bytes, 0 at the end or after a failure. */
static size_t fill(mllm_record *r) {
    r->used = r->filled = 0;
    while (r->filled < BLOCK) {
        ssize_t n = read(r->fd, r->block + r->filled, BLOCK - r->filled);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) r->failed = errno;
        if (n <= 0) break;
        r->filled += (size_t)n;
    }
    return r->filled;
}

static mllm_code verify(mllm_record *r, const char *magic, uint64_t size, mllm_error *err) {
    uint64_t sum = 0, stored = 0, seen = 0;
    while (seen < size - SUM && fill(r)) {
        if (seen == 0 && memcmp(r->block, magic, MAGIC) != 0)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: byte 0: not a file that starts with '%.8s'", r->path, magic);
        size_t n = r->filled < size - SUM - seen ? r->filled : (size_t)(size - SUM - seen);
        sum = add_to_sum(sum, r->block, n);
        seen += n;
    }
    if (r->failed) return mllm_fail(err, MLLM_E_IO, "%s: cannot be read: %s", r->path, strerror(r->failed));
    if (seen != size - SUM || pread(r->fd, &stored, SUM, (off_t)(size - SUM)) != SUM || stored != sum)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: the checksum does not match: the file is damaged or cut", r->path);
    if (lseek(r->fd, MAGIC, SEEK_SET) < 0)
        return mllm_fail(err, MLLM_E_IO, "%s: cannot be read: %s", r->path, strerror(errno));
    r->left = size - SUM - MAGIC;
    r->used = r->filled = 0;
    return MLLM_OK;
}

mllm_record *mllm_record_open(const char *path, const char *magic, mllm_error *err) {
    mllm_record *r = new_record(path, err);
    if (!r) return NULL;
    struct stat st;
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        mllm_fail(err, MLLM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        mllm_fail(err, MLLM_E_IO, "%s: not a file", path);
    else if (st.st_size < MAGIC + SUM)
        mllm_fail(err, MLLM_E_FORMAT, "%s: %lld bytes are too few", path, (long long)st.st_size);
    else if (verify(r, magic, (uint64_t)st.st_size, err) == MLLM_OK)
        return r;
    release(r);
    return NULL;
}

uint64_t mllm_record_left(const mllm_record *r) {
    return r->left;
}

bool mllm_record_get(mllm_record *r, void *bytes, size_t count) {
    if (count > r->left || r->failed) {
        if (!r->failed) r->failed = -1;
        return false;
    }
    r->left -= count;
    for (unsigned char *to = bytes; count;) {
        if (r->used == r->filled && !fill(r)) {
            if (!r->failed) r->failed = -1;
            return false;
        }
        size_t n = r->filled - r->used < count ? r->filled - r->used : count;
        memcpy(to, r->block + r->used, n);
        r->used += n;
        to += n;
        count -= n;
    }
    return true;
}

mllm_code mllm_record_close(mllm_record *r, mllm_error *err) {
    mllm_code code = MLLM_OK;
    if (!r) return code;
    if (r->beside)
        unlink(r->beside);
    else if (r->failed > 0)
        code = mllm_fail(err, MLLM_E_IO, "%s: cannot be read: %s", r->path, strerror(r->failed));
    else if (r->failed)
        code = mllm_fail(err, MLLM_E_FORMAT, "%s: ends too early", r->path);
    else if (r->left)
        code = mllm_fail(err, MLLM_E_FORMAT, "%s: %llu bytes too many", r->path, (unsigned long long)r->left);
    release(r);
    return code;
}
