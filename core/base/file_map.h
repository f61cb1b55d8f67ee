/* file_map.h - a whole file, read-only, through the page cache. */
#ifndef MLLM_BASE_FILE_MAP_H
#define MLLM_BASE_FILE_MAP_H

#include "../mobilellm.h"

typedef struct {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
} mllm_file_map;

/* Fails with MLLM_E_IO when the file cannot be opened, or is none (a folder). */
mllm_code mllm_file_map_open(mllm_file_map *map, const char *path, mllm_error *err);
void mllm_file_map_close(mllm_file_map *map); /* zeroes; twice is harmless */
/* Part of a map will not be needed soon: its pages leave this process (not the page cache) and come back when touched. */
void mllm_file_map_forget(const void *data, size_t size);

bool mllm_file_is_folder(const char *path);
bool mllm_file_is_same(const char *a, const char *b); /* both exist and are one file, whatever their names */
bool mllm_file_exists(const char *path); /* a file that can be read */

#endif
