// What Compute Sanitizer's racecheck says of four exchanges that are right by PTX's rules, and of one race.
//
//   nvcc -lineinfo -std=c++17 -gencode=arch=compute_90a,code=sm_90a -o control racecheck_control.cu
//   compute-sanitizer --tool racecheck ./control
//
// It reports the race, and with it `one_lane_arrives` and `unequal_counts`, which are none: it takes an arrival at an mbarrier for that of one
// thread, though __syncwarp orders the warp's accesses before it, and it seems to count the barriers that a warp has passed rather than to
// follow their numbers.  Stage 1 does both.
#include <cstdint>
#include <cstdio>

typedef uint32_t u32;
typedef uint64_t u64;

__device__ u32 address(const void* p) { return (u32)__cvta_generic_to_shared(p); }
__device__ void init(u64* b, int n) { asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(address(b)), "r"(n) : "memory"); }
__device__ void arrive(u64* b) { asm volatile("mbarrier.arrive.shared.b64 _, [%0];" :: "r"(address(b)) : "memory"); }
__device__ void wait(u64* b, u32 phase) {
  asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared.b64 p, [%0], %1; @!p bra L; }" :: "r"(address(b)), "r"(phase) : "memory");
}
__device__ void barrier(int id, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }

// A ring of two places: warp 0 writes, warp 1 reads.  All lanes arrive at the mbarriers, or one for its warp.
template <bool ALL> __device__ void ring(int* out) {
  __shared__ int x[2][32];
  __shared__ u64 full[2], empty[2];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x == 0) for (int i = 0; i < 2; i++) { init(full + i, ALL ? 32 : 1); init(empty + i, ALL ? 32 : 1); }
  __syncthreads();
  int sum = 0;
  for (int n = 0; n < 8; n++) {
    const int place = n % 2, round = n / 2;
    if (warp == 0) {
      if (round > 0) wait(empty + place, (round - 1) & 1);
      x[place][lane] = n;
    } else {
      wait(full + place, round & 1);
      sum += x[place][lane ^ 5];
    }
    __syncwarp();
    if (ALL || lane == 0) arrive((warp == 0 ? full : empty) + place);
  }
  out[threadIdx.x] = sum;
}
__global__ void all_lanes_arrive(int* out) { ring<true>(out); }
__global__ void one_lane_arrives(int* out) { ring<false>(out); }

// Two groups of four warps; each passes its own barrier `mine` times, then both exchange values by a common one.
__device__ void two_groups(int* out, int mine) {
  __shared__ int x[256];
  const int t = threadIdx.x, group = t / 128;
  int sum = 0;
  for (int i = 0; i < 4; i++) {
    for (int k = 0; k < mine; k++) barrier(2 + group, 128);
    x[t] = i + t;
    barrier(1, 256);
    sum += x[(t + 140) % 256];
    barrier(1, 256);
  }
  out[t] = sum;
}
__global__ void equal_counts(int* out) { two_groups(out, 1); }
__global__ void unequal_counts(int* out) { two_groups(out, threadIdx.x < 128 ? 3 : 1); }

__global__ void a_race(int* out) {
  __shared__ int x[256];
  x[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = x[(threadIdx.x + 40) % 256];
}

int main() {
  int* out;
  cudaMalloc(&out, 1024);
  all_lanes_arrive<<<1, 64>>>(out);
  one_lane_arrives<<<1, 64>>>(out);
  equal_counts<<<1, 256>>>(out);
  unequal_counts<<<1, 256>>>(out);
  a_race<<<1, 256>>>(out);
  puts(cudaGetErrorString(cudaDeviceSynchronize()));
}
