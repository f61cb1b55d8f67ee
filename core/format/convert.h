/* convert.h - model files made from other files, or from nothing. Part of the border: mobilellm.h includes it. */
#ifndef MLLM_FORMAT_CONVERT_H
#define MLLM_FORMAT_CONVERT_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

/* Writes the model at `from` (a GGUF file or a Hugging Face folder) as the GGUF file `to`, its matrices rounded to `type`:
 * "f32", "f16", "bf16", "q8_0" or "q4_0" (in any case of letters). Vocabulary and chat template go along. Plain Llama and Qwen shapes
 * load in llama.cpp; shared blocks and FFNs are stored once, in the form that core/format/checkpoint_write.c describes. What is
 * of the type already is copied to the bit. Row by row: the memory does not grow with the model. `to` appears when it is complete. */
MLLM_API mllm_code mllm_convert(const char *from, const char *to, const char *type, mllm_error *err);

/* The same with `type` "q8_0" or "q4_0" in the panels that the integer kernels use (core/tensor/packed.h), so that loading packs nothing and
 * the weights stay in the page cache, shared between processes. Only this engine reads such a file; mllm_convert turns it back, without
 * loss where the types agree. */
MLLM_API mllm_code mllm_convert_packed(const char *from, const char *to, const char *type, mllm_error *err);

/* Writes random weights (mean 0, standard deviation 0.02; norms 1) in the exact shape of a published model, for measurements:
 * "125m", "350m", "600m", "1b", "1.5b" (MobileLLM), each also with "-ls" (every block executed twice), or "mobillama-0.5b". The same
 * seed gives the same file. The vocabulary of 32,000 tokens comes from `tokenizer` (a GGUF file, a Hugging Face folder, a
 * tokenizer.model or a tokenizer.json) or, when that is NULL, is made up of syllables. */
MLLM_API mllm_code mllm_make_random(const char *shape, const char *type, uint64_t seed, const char *tokenizer,
                                    const char *path, mllm_error *err);

#endif
