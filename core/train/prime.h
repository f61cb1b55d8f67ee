/* prime.h - weights that can copy before they have learned anything.
 *
 * A transformer copies with two heads in a row: one attends to the token before and writes it beside the current one, a later
 * one looks for a place whose "token before" is the current token, and says what stands there (Elhage et al., "A Mathematical
 * Framework for Transformer Circuits", 2021; Olsson et al., "In-context Learning and Induction Heads", 2022). Training finds
 * this pair by itself, but a small model that reads a few million tokens finds it late or never. Here a head of the first
 * block and one head each of the next blocks start as such a pair. They are ordinary weights of the ordinary architecture:
 * training changes them like all others. */
#ifndef MLLM_TRAIN_PRIME_H
#define MLLM_TRAIN_PRIME_H

#include "train.h"

/* Rewrites heads of up to five blocks of freshly made weights: the first query head of the first group, its key and its value.
 * Each token's embedding gets a constant in dimension 0, which adds the same to all logits. MLLM_E_UNSUPPORTED: fewer than two blocks,
 * or the rotary frequencies leave too few dimensions that turn fast (to find the token before) or hardly at all (to compare tokens at a
 * distance): a head of 32 needs a base of about 100,000. */
mllm_code mllm_trainer_prime_copying(mllm_trainer *t, uint64_t seed, mllm_error *err);

#endif
