#include "cpu.h"

#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

static mllm_cpu cpu;

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

static uint64_t xcr0(void) {
    uint32_t a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}

/* Linux gives the 8 KiB of tile state only to processes that ask: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA). */
static bool request_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static void ask(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return;
    bool fma = c & bit_FMA, f16c = c & bit_F16C;
    uint64_t state = xcr0();
    bool ymm = (state & 0x6) == 0x6, zmm = ymm && (state & 0xE0) == 0xE0, tile = (state & 0x60000) == 0x60000;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    unsigned last = a;
    cpu.avx2 = ymm && fma && f16c && (b & bit_AVX2);
    cpu.avx512 = cpu.avx2 && zmm && (b & (1u << 16)) && (b & (1u << 17)) && (b & (1u << 30)) && (b & (1u << 31));
    cpu.avx512_vnni = cpu.avx512 && (c & (1u << 11));
    bool amx = cpu.avx512 && tile && (d & (1u << 24)), bf16 = d & (1u << 22), int8 = d & (1u << 25);
    if (last >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        cpu.avx_vnni = cpu.avx2 && (a & (1u << 4));
        cpu.avx512_bf16 = cpu.avx512 && (a & (1u << 5));
    }
    if (amx && (bf16 || int8) && request_tiles()) {
        cpu.amx_bf16 = bf16;
        cpu.amx_int8 = int8;
    }
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

static void ask(void) {
    enum { DOTPROD = 1 << 20, I8MM = 1 << 13 }; /* HWCAP_ASIMDDP, HWCAP2_I8MM of the kernel */
    cpu.neon_dot = getauxval(AT_HWCAP) & DOTPROD;
    cpu.neon_i8mm = getauxval(AT_HWCAP2) & I8MM;
}

#else
static void ask(void) {
}
#endif

const mllm_cpu *mllm_cpu_features(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return &cpu;
}
