/* team.h - our own team of threads: static partition, few meeting points. */
#ifndef MLLM_BASE_TEAM_H
#define MLLM_BASE_TEAM_H

#include "../mobilellm.h"

typedef struct mllm_team mllm_team;

/* `threads` >= 1, the caller included; threads are started at the first run. */
mllm_team *mllm_team_new(int threads, mllm_error *err);
void mllm_team_free(mllm_team *team);
int mllm_team_size(const mllm_team *team);
/* Runs fn(ctx, rank, size) on every thread, rank 0 on the caller, and returns when all are done. A second host thread that
 * calls it waits for its turn. Must not be called from inside fn. Work must not depend on `size`: while others use the cores, so that
 * threads wait for each other instead of working, the caller works alone (size 1), and tries again with the team now and then. */
void mllm_team_run(mllm_team *team, void (*fn)(void *ctx, int rank, int size), void *ctx);
/* Inside fn, with its own size: returns when every rank has called it. Spins briefly, then sleeps. */
void mllm_team_barrier(mllm_team *team, int size);

/* Real cores of this machine (hyper-threads counted once), at least 1. */
int mllm_cpu_cores(void);

/* Splits [0, n) into `size` parts of multiples of `grain`; the part of `rank` is [*from, *to). */
static inline void mllm_team_part(size_t n, size_t grain, int rank, int size, size_t *from, size_t *to) {
    size_t units = (n + grain - 1) / grain;
    size_t a = units * (size_t)rank / (size_t)size * grain, z = units * ((size_t)rank + 1) / (size_t)size * grain;
    *from = a < n ? a : n;
    *to = z < n ? z : n;
}

#endif
