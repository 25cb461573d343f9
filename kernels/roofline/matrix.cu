// Multiplies f16 tiles in shared memory with f32 sums by wgmma, for as long as asked. Hopper (sm_90a).
//
// Two warpgroups a block multiply 64 x 64 tiles of their own with one 64 x 256 tile: the shape that GEMMs run at.
// Operands are random, since zeros draw less power and so run at a higher clock than any real product does.

constexpr int WIDTHS = 64;                   // k of a tile: 128 bytes, one swizzle row
constexpr int A_BYTES = 64 * WIDTHS * 2, B_BYTES = 256 * WIDTHS * 2;

struct Params {
  float *out;
  int steps;
};

__device__ unsigned long long descriptor(const void *tile) {
  const unsigned long long address = __cvta_generic_to_shared(tile);
  return (address >> 4) | 1ull << 16 | (1024ull >> 4) << 32 | 1ull << 62;  // 128-byte swizzle, 8 rows apart 1024 bytes
}

__device__ void multiply(float (&d)[128], unsigned long long a, unsigned long long b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {" ACCUMULATORS "}, %128, %129, 1, 1, 1, 0, 0;"
               : ACCUMULATOR_OPERANDS
               : "l"(a), "l"(b));
}

extern "C" __global__ void __launch_bounds__(256, 1) multiply_tiles(Params p) {
  extern __shared__ __align__(1024) unsigned words[];
  for (int i = threadIdx.x; i < (2 * A_BYTES + B_BYTES) / 4; i += 256) {
    const unsigned hash = (i * 2654435761u) ^ (i * 40503u << 7);
    words[i] = 0x30003000 | (hash & 0x8fff8fff);  // two f16 of either sign in [1/8, 2)
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();

  const char *tiles = reinterpret_cast<const char *>(words);
  const unsigned long long a = descriptor(tiles + B_BYTES + threadIdx.x / 128 * A_BYTES), b = descriptor(tiles);
  float d[128];
  for (int i = 0; i < 128; i++) d[i] = 0;
  for (int step = 0; step < p.steps; step++) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int k = 0; k < WIDTHS / 16; k++) multiply(d, a + 2 * k, b + 2 * k);  // 32 bytes further along the row
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  }
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  float sum = 0;
  for (int i = 0; i < 128; i++) sum += d[i];
  if (blockIdx.x == 0) p.out[threadIdx.x] = sum;
}
