#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"
#include "error.h"

#if defined(__x86_64__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() ((void)0)
#endif

/* A meeting point is usually microseconds away, so a thread spins first. A host that uses the cores itself makes the wait long, and
 * then spinning would take from it what we wait for: after SPINS the thread sleeps. */
enum { SPINS = 4000 };

/* Runs that the caller does alone after a crowded one; doubled while it stays crowded. */
enum { FIRST_PATIENCE = 4, MOST_PATIENCE = 256 };

/* A counter that threads wait for to change. Sleeping and waking cannot miss each other: the sleeper announces itself before it looks
 * again, the waker changes the counter before it looks for sleepers (both sequentially consistent). */
typedef struct {
    atomic_uint value, sleepers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} gate;

static void gate_init(gate *g) {
    atomic_init(&g->value, 0);
    atomic_init(&g->sleepers, 0);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static void gate_free(gate *g) {
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
}

/* True when it had to sleep. */
static bool gate_wait(gate *g, unsigned old) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&g->value, memory_order_acquire) != old) return false;
        relax();
    }
    pthread_mutex_lock(&g->lock);
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->value) == old) pthread_cond_wait(&g->changed, &g->lock);
    atomic_fetch_sub(&g->sleepers, 1);
    pthread_mutex_unlock(&g->lock);
    return true;
}

static void gate_open(gate *g) {
    atomic_fetch_add(&g->value, 1);
    if (atomic_load(&g->sleepers) == 0) return;
    pthread_mutex_lock(&g->lock);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

typedef struct {
    mllm_team *team;
    int rank;
    pthread_t thread;
} member;

struct mllm_team {
    int size; /* wanted, then what could be started */
    bool started;
    bool ending;
    pthread_mutex_t turn; /* one host thread at a time */
    void (*fn)(void *ctx, int rank, int size);
    void *ctx;
    gate start, meet, end;
    atomic_int met, ended;
    atomic_int meetings, slept; /* of this run: passed barriers, and waits at them that ended in sleep */
    atomic_int alone, patience; /* runs that the caller does alone; how many the next time */
    member *members; /* [size - 1] */
};

mllm_team *mllm_team_new(int threads, mllm_error *err) {
    if (threads < 1 || threads > 1024) {
        mllm_fail(err, MLLM_E_ARGUMENT, "threads = %d: 1 to 1024 are possible", threads);
        return NULL;
    }
    mllm_team *t = mllm_calloc(1, sizeof *t);
    member *m = mllm_calloc((size_t)threads, sizeof *m);
    if (!t || !m) {
        mllm_free(t);
        mllm_free(m);
        mllm_fail_memory(err, sizeof *t, "a thread team");
        return NULL;
    }
    t->size = threads;
    t->members = m;
    atomic_init(&t->patience, FIRST_PATIENCE);
    pthread_mutex_init(&t->turn, NULL);
    gate_init(&t->start);
    gate_init(&t->meet);
    gate_init(&t->end);
    return t;
}

int mllm_team_size(const mllm_team *t) {
    return t->size;
}

static void *work(void *arg) {
    member *m = arg;
    mllm_team *t = m->team;
    for (unsigned seen = 0;; seen++) {
        gate_wait(&t->start, seen);
        if (t->ending) return NULL;
        t->fn(t->ctx, m->rank, t->size);
        if (atomic_fetch_add(&t->ended, 1) + 1 == t->size - 1) gate_open(&t->end);
    }
}

/* Threads are started with the first work, so that loading a vocabulary or a closed session costs none. Where the system gives fewer
 * than wanted, the team is smaller: results do not depend on its size. */
static void start(mllm_team *t) {
    t->started = true;
    for (int i = 1; i < t->size; i++) {
        member *m = &t->members[i - 1];
        m->team = t;
        m->rank = i;
        if (pthread_create(&m->thread, NULL, work, m) != 0) {
            t->size = i; /* nobody has been let in yet: the start gate is closed */
            return;
        }
    }
}

/* Work is split evenly, so on free cores nobody waits long. Where threads sleep at one barrier in eight, somebody else has the cores, and
 * each barrier costs a turn of the scheduler: one thread alone is then several times as fast. */
static void look_for_crowd(mllm_team *t) {
    int meetings = atomic_load(&t->meetings), slept = atomic_load(&t->slept);
    if (slept < 3 || slept * 8 < meetings) {
        if (meetings > 0) atomic_store(&t->patience, FIRST_PATIENCE);
        return;
    }
    int patience = atomic_load(&t->patience);
    atomic_store(&t->alone, patience);
    atomic_store(&t->patience, patience * 2 < MOST_PATIENCE ? patience * 2 : MOST_PATIENCE);
}

void mllm_team_run(mllm_team *t, void (*fn)(void *ctx, int rank, int size), void *ctx) {
    if (t->size == 1 || (atomic_load(&t->alone) > 0 && atomic_fetch_sub(&t->alone, 1) > 0)) {
        fn(ctx, 0, 1);
        return;
    }
    pthread_mutex_lock(&t->turn);
    if (!t->started) start(t);
    t->fn = fn;
    t->ctx = ctx;
    atomic_store(&t->ended, 0);
    atomic_store(&t->met, 0);
    atomic_store(&t->meetings, 0);
    atomic_store(&t->slept, 0);
    unsigned over = atomic_load(&t->end.value);
    if (t->size > 1) gate_open(&t->start);
    fn(ctx, 0, t->size);
    if (t->size > 1) gate_wait(&t->end, over);
    look_for_crowd(t);
    pthread_mutex_unlock(&t->turn);
}

void mllm_team_barrier(mllm_team *t, int size) {
    if (size == 1) return;
    unsigned phase = atomic_load(&t->meet.value);
    if (atomic_fetch_add(&t->met, 1) + 1 == t->size) {
        atomic_store(&t->met, 0);
        atomic_fetch_add(&t->meetings, 1);
        gate_open(&t->meet);
    } else if (gate_wait(&t->meet, phase))
        atomic_fetch_add(&t->slept, 1);
}

void mllm_team_free(mllm_team *t) {
    if (!t) return;
    if (t->started && t->size > 1) {
        t->ending = true;
        gate_open(&t->start);
        for (int i = 1; i < t->size; i++) pthread_join(t->members[i - 1].thread, NULL);
    }
    gate_free(&t->start);
    gate_free(&t->meet);
    gate_free(&t->end);
    pthread_mutex_destroy(&t->turn);
    mllm_free(t->members);
    mllm_free(t);
}

/* One number of a file under /sys, -1 when it cannot be read. */
static long topology(int cpu, const char *what) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, what);
    FILE *f = fopen(path, "r");
    long v = -1;
    if (f) {
        if (fscanf(f, "%ld", &v) != 1) v = -1;
        fclose(f);
    }
    return v;
}

int mllm_cpu_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        return n > 0 ? (int)n : 1;
    }
    enum { MOST = 512 };
    long seen[MOST];
    int count = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < MOST; cpu++) {
        if (!CPU_ISSET(cpu, &set)) continue;
        long core = topology(cpu, "core_id"), package = topology(cpu, "physical_package_id");
        long id = core < 0 ? -2 - cpu : (package < 0 ? 0 : package) * 65536 + core; /* unknown: a core of its own */
        int i = 0;
        while (i < count && seen[i] != id) i++;
        if (i == count) seen[count++] = id;
    }
    return count > 0 ? count : 1;
}
