/* cpu.h - what this processor can do, asked once. */
#ifndef MLLM_BASE_CPU_H
#define MLLM_BASE_CPU_H

#include <stdbool.h>

typedef struct {
    bool avx2; /* with FMA and F16C */
    bool avx_vnni; /* vpdpbusd on 256 bits */
    bool avx512; /* F, BW, DQ, VL */
    bool avx512_vnni;
    bool avx512_bf16;
    bool amx_int8, amx_bf16; /* and the kernel has granted the tiles to this process */
    bool neon_dot; /* sdot/udot of ARMv8.2 */
    bool neon_i8mm; /* smmla/usmmla of ARMv8.6 */
} mllm_cpu;

const mllm_cpu *mllm_cpu_features(void);

#endif
