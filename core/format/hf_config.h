/* hf_config.h - config.json of a Hugging Face folder as a blueprint. */
#ifndef MLLM_FORMAT_HF_CONFIG_H
#define MLLM_FORMAT_HF_CONFIG_H

#include "../base/json.h"
#include "../model/blueprint.h"

/* What config.json says beyond the blueprint; the tensors decide the rest. */
typedef struct {
    int tied; /* 1, 0, -1: not said */
    bool needs_qkv_bias; /* the architecture has them without saying so (Qwen 2) */
    bool needs_qk_norm; /* ... (Qwen 3) */
} mllm_hf_facts;

/* Fills shapes, positions and steps (each block with its own FFN). Rows of q and k are in half-rotation order. `path` names the
 * file in messages. */
mllm_code mllm_hf_config_read(const mllm_json *doc, const char *path, mllm_blueprint *b, mllm_hf_facts *facts,
                              mllm_error *err);

#endif
