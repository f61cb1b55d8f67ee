/* safetensors.h - reading a .safetensors file through a memory map. Source: github.com/huggingface/safetensors, README.
 *
 *   u64 length of the header, the header (JSON: name -> {dtype, shape, data_offsets}), the data (offsets count from here) */
#ifndef MLLM_FORMAT_SAFETENSORS_H
#define MLLM_FORMAT_SAFETENSORS_H

#include "../tensor/tensor.h"

typedef struct mllm_safetensors mllm_safetensors;

/* Checks the whole header: names are unique, every tensor's bytes are as many as its shape says, lie inside the file and belong
 * to it alone. Tensors of other number types than F32, F16 and BF16 are kept, with row_bytes = 0. */
mllm_safetensors *mllm_safetensors_open(const char *path, mllm_error *err);
void mllm_safetensors_close(mllm_safetensors *s);

size_t mllm_safetensors_count(const mllm_safetensors *s);
/* NULL when absent. A matrix is [rows, cols]; more dimensions are folded into rows; a vector or a scalar is one row. `dtype`
 * (may be NULL) gets the type's name in the file. */
const mllm_tensor *mllm_safetensors_find(const mllm_safetensors *s, const char *name, const char **dtype);
const char *mllm_safetensors_name(const mllm_safetensors *s, size_t i);

#endif
