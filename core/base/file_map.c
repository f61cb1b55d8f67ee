#include "file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

mllm_code mllm_file_map_open(mllm_file_map *map, const char *path, mllm_error *err) {
    *map = (mllm_file_map){0};
    /* Without O_NONBLOCK a named pipe would hold us until somebody writes to it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return mllm_fail(err, MLLM_E_IO, "%s: %s", path, strerror(errno));
    struct stat st;
    mllm_code code = MLLM_OK;
    if (fstat(fd, &st) != 0)
        code = mllm_fail(err, MLLM_E_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        code = mllm_fail(err, MLLM_E_IO, "%s: not a regular file", path);
    else if ((uint64_t)st.st_size > SIZE_MAX)
        code = mllm_fail(err, MLLM_E_LIMIT, "%s: larger than the address space", path);
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            code = mllm_fail(err, MLLM_E_IO, "%s: cannot be mapped: %s", path, strerror(errno));
        } else {
            map->data = p;
            map->size = (size_t)st.st_size;
        }
    }
    close(fd);
    return code;
}

void mllm_file_map_close(mllm_file_map *map) {
    if (map->data) {
        union { /* munmap takes what mmap gave, without const */
            const uint8_t *data;
            void *p;
        } u = {.data = map->data};
        munmap(u.p, map->size);
    }
    *map = (mllm_file_map){0};
}

bool mllm_file_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool mllm_file_is_same(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool mllm_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK) == 0;
}

void mllm_file_map_forget(const void *data, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)data + size) / page * page;
    if (to > from)
        madvise((char *)(uintptr_t)data + (from - (uintptr_t)data), to - from, MADV_DONTNEED); /* advice: may fail */
}
