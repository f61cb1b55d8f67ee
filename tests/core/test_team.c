/* The thread team: every rank once, barriers hold, two host threads take turns, partitions cover everything once. */
#include "base/team.h"

#include <pthread.h>
#include <stdatomic.h>

#include "test.h"

enum { MOST = 8, ROUNDS = 300 };

typedef struct {
    mllm_team *team;
    int seen[MOST], size;
    atomic_int sum;
    int wrong;
} work;

static void visit(void *ctx, int rank, int size) {
    work *w = ctx;
    w->seen[rank]++;
    if (rank == 0) w->size = size;
    for (int i = 1; i <= 3; i++) {
        atomic_fetch_add(&w->sum, 1);
        mllm_team_barrier(w->team, size);
        if (atomic_load(&w->sum) != i * size) w->wrong = 1; /* somebody passed too early or came too late */
        mllm_team_barrier(w->team, size);
    }
}

static void ranks_and_barriers(void) {
    for (int size = 1; size <= MOST; size++) {
        mllm_error err;
        mllm_team *team = mllm_team_new(size, &err);
        CHECK(team && mllm_team_size(team) == size);
        int full = 0;
        for (int round = 0; round < ROUNDS; round++) {
            work w = {.team = team};
            mllm_team_run(team, visit, &w);
            /* On a crowded machine the caller may work alone; whoever works, works once. */
            CHECK(w.size == size || w.size == 1, " %d of %d", w.size, size);
            for (int r = 0; r < size; r++)
                CHECK(w.seen[r] == (r < w.size), " rank %d of %d ran %d times", r, size, w.seen[r]);
            CHECK(!w.wrong && atomic_load(&w.sum) == 3 * w.size);
            full += w.size == size;
        }
        CHECK(full > 0, " the team of %d never worked together", size);
        mllm_team_free(team);
    }
}

static mllm_team *shared_team;
static atomic_int inside, clash;

static void alone(void *ctx, int rank, int size) {
    (void)ctx;
    if (size == 1) return; /* alone: no turn is needed */
    if (rank == 0 && atomic_fetch_add(&inside, 1) != 0) atomic_store(&clash, 1);
    mllm_team_barrier(shared_team, size);
    if (rank == 0) atomic_fetch_sub(&inside, 1);
}

static void *host(void *arg) {
    for (int i = 0; i < ROUNDS; i++) mllm_team_run(shared_team, alone, arg);
    return NULL;
}

static void hosts_take_turns(void) {
    shared_team = mllm_team_new(3, NULL);
    pthread_t a, b;
    pthread_create(&a, NULL, host, NULL);
    pthread_create(&b, NULL, host, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    CHECK(!atomic_load(&clash));
    mllm_team_free(shared_team);
}

static void wrong_sizes(void) {
    mllm_error err = {0};
    CHECK(!mllm_team_new(0, &err) && err.code == MLLM_E_ARGUMENT && strstr(err.message, "threads = 0"));
    CHECK(!mllm_team_new(-1, NULL));
    mllm_team_free(NULL);
    mllm_team_free(mllm_team_new(4, NULL)); /* never started */
    CHECK(mllm_cpu_cores() >= 1);
}

static void parts_cover(void) {
    for (size_t n = 0; n < 200; n += 7)
        for (size_t grain = 1; grain < 40; grain += 6)
            for (int size = 1; size < 6; size++) {
                size_t expected = 0;
                for (int rank = 0; rank < size; rank++) {
                    size_t from, to;
                    mllm_team_part(n, grain, rank, size, &from, &to);
                    CHECK(from == expected && to >= from && (from % grain == 0 || from == n));
                    expected = to;
                }
                CHECK(expected == n);
            }
}

static const test_case tests[] = {{"ranks_and_barriers", ranks_and_barriers},
                                  {"hosts_take_turns", hosts_take_turns},
                                  {"wrong_sizes", wrong_sizes},
                                  {"parts_cover", parts_cover}};
TEST_MAIN(tests)
