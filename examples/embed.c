/* embed.c - the engine in a C program, without Lua.
 *
 *   cc -std=c11 examples/embed.c $(pkg-config --cflags --libs mobilellm) -o embed        after `make install`
 *   ./embed MODEL "The capital of France is" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mobilellm.h"

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: embed MODEL PROMPT\n");
        return 2;
    }
    int status = 1;
    mllm_error err = {MLLM_OK, ""};
    mllm_token *prompt = NULL;
    mllm_session *session = NULL;
    mllm_generation *generation = NULL;

    /* A model is loaded once and shared; a session is one timeline on it. */
    mllm_model *model = mllm_model_load(argv[1], NULL, &err);
    if (!model) goto done;
    session = mllm_session_new(model, &(mllm_session_options){.context = 256}, &err);
    if (!session) goto done;

    /* Text to ids: the first call counts them. */
    const mllm_vocab *vocab = mllm_model_vocab(model);
    if (!vocab) {
        fprintf(stderr, "embed: %s has no tokenizer\n", argv[1]);
        goto done;
    }
    unsigned flags = mllm_vocab_adds_bos(vocab) ? MLLM_TOKENIZE_BOS : 0;
    size_t count = mllm_tokenize(vocab, argv[2], strlen(argv[2]), flags, NULL, 0);
    if (count == SIZE_MAX || !(prompt = malloc((count + 1) * sizeof *prompt))) goto done;
    mllm_tokenize(vocab, argv[2], strlen(argv[2]), flags, prompt, count);

    /* A generation drives the session, here step by step on this thread; the text comes out in whole characters. */
    generation = mllm_generation_new(
        session, &(mllm_generation_options){.prompt = prompt, .prompt_count = count, .max_tokens = 40}, &err);
    if (!generation) goto done;
    printf("%s", argv[2]);
    while (mllm_generation_state(generation) == MLLM_STOP_NONE) {
        char text[256];
        if (mllm_generation_advance(generation, &err) != MLLM_OK) goto done;
        for (size_t n; (n = mllm_generation_read(generation, text, sizeof text)) > 0;) fwrite(text, 1, n, stdout);
    }
    mllm_generation_stats stats = mllm_generation_get_stats(generation);
    printf("\n%zu tokens in, %zu out, ended by: %s\n", stats.prompt_tokens, stats.tokens, mllm_stop_name(stats.stop));
    status = 0;
done:
    if (err.code != MLLM_OK) fprintf(stderr, "embed: %s\n", err.message);
    free(prompt);
    mllm_generation_release(generation);
    mllm_session_release(session);
    mllm_model_release(model);
    return status;
}
