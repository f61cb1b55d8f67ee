/* test.h - the harness of the C tests. A program is a list of TEST functions; it prints a line per failure and closes with
 * "N passed, N failed[, N skipped]". A test counts as one however many checks it makes. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mobilellm.h"

static int test_failed_checks, test_skipped;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            test_failed_checks++;                                                                                      \
            fprintf(stderr, "%s:%d: %s:", __FILE__, __LINE__, #condition);                                             \
            fprintf(stderr, " " __VA_ARGS__);                                                                          \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)

#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        test_skipped = 1;                                                                                              \
        printf("skipped: " __VA_ARGS__);                                                                               \
        putchar('\n');                                                                                                 \
        return;                                                                                                        \
    } while (0)

typedef struct {
    const char *name;
    void (*run)(void);
} test_case;

/* The shared data, when it is there: $MLLM_SHARED or ../shared beside the repository. NULL otherwise. */
static inline const char *test_shared(void) {
    const char *dir = getenv("MLLM_SHARED");
    if (!dir) dir = "../shared";
    return access(dir, R_OK) == 0 ? dir : NULL;
}

static inline int test_main(const test_case *tests, size_t count, int argc, char **argv) {
    int passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1])) continue;
        test_failed_checks = test_skipped = 0;
        tests[i].run();
        if (test_failed_checks) {
            failed++;
            printf("FAILED %s\n", tests[i].name);
        } else if (test_skipped)
            skipped++;
        else
            passed++;
    }
    printf("%s: %d passed, %d failed, %d skipped\n", argv[0], passed, failed, skipped);
    return failed != 0;
}
#define TEST_MAIN(tests)                                                                                               \
    int main(int argc, char **argv) {                                                                                  \
        return test_main(tests, sizeof(tests) / sizeof *(tests), argc, argv);                                          \
    }

#endif
