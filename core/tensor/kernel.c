#include "kernel.h"

#include <string.h>

#include "../base/error.h"

/* Best first. */
static const mllm_kernel *const kernels[] = {
#if defined(__x86_64__)
    &mllm_kernel_amx,  &mllm_kernel_avx512,   &mllm_kernel_avxvnni, &mllm_kernel_avx2,
#elif defined(__aarch64__)
    &mllm_kernel_i8mm, &mllm_kernel_neon,
#endif
    &mllm_kernel_blas, &mllm_kernel_reference};
/* Names of the interface, whether or not this build has them: asking for one elsewhere is not a spelling mistake. */
static const char *const known[] = {"amx", "avx512", "avxvnni", "avx2", "i8mm", "neon", "blas", "reference"};

const mllm_kernel *mllm_kernel_choose(const char *name, mllm_error *err) {
    enum { COUNT = sizeof kernels / sizeof *kernels, NAMES = sizeof known / sizeof *known };
    bool any = !name || strcmp(name, "auto") == 0;
    for (int i = 0; i < COUNT; i++)
        if ((any || strcmp(name, kernels[i]->name) == 0) && kernels[i]->available()) return kernels[i];
    for (int i = 0; i < NAMES; i++)
        if (!any && strcmp(name, known[i]) == 0) {
            mllm_fail(err, MLLM_E_UNSUPPORTED, "kernel '%s' is not available on this processor or in this build", name);
            return NULL;
        }
    mllm_fail(err, MLLM_E_ARGUMENT, "kernel '%s' is unknown: auto, amx, avx512, avxvnni, avx2, neon, blas, reference",
              name);
    return NULL;
}
