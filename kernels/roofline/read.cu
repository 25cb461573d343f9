// Reads a buffer once, 16 bytes a thread and step, as fast as device memory gives it.

struct Params {
  const uint4 *data;
  unsigned *out;
  unsigned long long count;  // of 16-byte words
};

extern "C" __global__ void __launch_bounds__(1024) read_all(Params p) {
  const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
  unsigned seen = 0;
#pragma unroll 8
  for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < p.count; i += stride) {
    const uint4 word = __ldcs(p.data + i);
    seen ^= word.x ^ word.y ^ word.z ^ word.w;
  }
  if (blockIdx.x == 0 || seen == 0x5eed5eed) p.out[threadIdx.x % 32] = seen;
}
