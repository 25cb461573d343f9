// A libcuda.so.1 without a GPU, for tests: device memory is host memory, kernels are the three C functions below, and
// time is a counter that each kernel advances. It writes what it is asked into a log, and fails when it is told to.
#include "cuda_abi.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL_US = 10, PDL_KERNEL_US = 6, SM_COUNT = 132 };

static char log_text[1 << 20];
static size_t log_length;
static char fail_name[64];
static int fail_code, sticky;
static double clock_us;
static long allocated_bytes;
static size_t free_bytes = (size_t)16 << 30;

static void note(const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (log_length < sizeof log_text - 512) log_length += vsnprintf(log_text + log_length, 512, format, args);
  va_end(args);
}

const char *stub_log(void) { return log_text; }
long stub_allocated(void) { return allocated_bytes; }
void stub_free_bytes(size_t bytes) { free_bytes = bytes; }
void stub_reset(void) { log_length = 0; log_text[0] = 0; fail_name[0] = 0; sticky = 0; clock_us = 0; free_bytes = (size_t)16 << 30; }
void stub_fail(const char *name, int code) { snprintf(fail_name, sizeof fail_name, "%s", name); fail_code = code; }

// Offsets and sizes as the compiler sees them, in the order of layouts_test.ts.
void stub_layout(int *out) {
  *out++ = sizeof(CUlaunchConfig);
  *out++ = offsetof(CUlaunchConfig, sharedMemBytes);
  *out++ = offsetof(CUlaunchConfig, hStream);
  *out++ = offsetof(CUlaunchConfig, attrs);
  *out++ = offsetof(CUlaunchConfig, numAttrs);
  *out++ = sizeof(CUlaunchAttribute);
  *out++ = offsetof(CUlaunchAttribute, value);
  *out++ = sizeof(CUdevResource);
  *out++ = offsetof(CUdevResource, sm) + offsetof(CUdevSmResource, smCount);
  *out++ = offsetof(CUdevResource, sm) + offsetof(CUdevSmResource, minSmPartitionSize);
  *out++ = offsetof(CUdevResource, sm) + offsetof(CUdevSmResource, smCoscheduledAlignment);
}
int stub_has_real_header(void) {
#ifdef KVTUNE_REAL_CUDA_H
  return 1;
#else
  return 0;
#endif
}

// Every struct shape that arguments can take: nested, padded at the end, wide after narrow.
typedef struct { int a; float b; void *p; struct { int c; unsigned long long d; float e; } inner; int f; } Shapes;
void stub_read_shapes(const Shapes *s, double *out) {
  double values[] = {s->a, s->b, (double)(uintptr_t)s->p, s->inner.c, (double)s->inner.d, s->inner.e, s->f, sizeof *s};
  memcpy(out, values, sizeof values);
}

#define ENTER(name)                                            \
  do {                                                         \
    if (sticky) return (CUresult)sticky;                       \
    if (strcmp(fail_name, name) == 0) {                        \
      fail_name[0] = 0;                                        \
      if (fail_code >= 700 && fail_code < 800) sticky = fail_code; \
      return (CUresult)fail_code;                              \
    }                                                          \
  } while (0)

CUresult cuInit(unsigned flags) { (void)flags; ENTER("cuInit"); return 0; }
CUresult cuDriverGetVersion(int *version) { *version = 13000; return 0; }
CUresult cuGetErrorName(CUresult code, const char **text) {
  *text = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == 500 ? "CUDA_ERROR_NOT_FOUND" : NULL;
  return *text ? 0 : 1;
}
CUresult cuGetErrorString(CUresult code, const char **text) {
  *text = code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : code == 500 ? "named symbol not found" : NULL;
  return *text ? 0 : 1;
}

CUresult cuDeviceGetCount(int *count) { ENTER("cuDeviceGetCount"); *count = 1; return 0; }
CUresult cuDeviceGet(CUdevice *device, int index) { if (index != 0) return 101; *device = 0; return 0; }
CUresult cuDeviceGetName(char *name, int length, CUdevice device) { (void)device; snprintf(name, length, "Stub H200"); return 0; }
CUresult cuDeviceGetPCIBusId(char *name, int length, CUdevice device) { (void)device; snprintf(name, length, "0000:1b:00.0"); return 0; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) { (void)device; *bytes = (size_t)141 << 30; return 0; }
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  (void)device;
  switch ((int)attribute) {
    case 1: case 2: case 3: *value = 1024; break;
    case 4: *value = 64; break;
    case 5: *value = 2147483647; break;
    case 6: case 7: *value = 65535; break;
    case 8: *value = 49152; break;
    case 13: *value = 1980000; break;
    case 16: *value = SM_COUNT; break;
    case 38: *value = 60 << 20; break;
    case 75: *value = 9; break;
    case 76: *value = 0; break;
    case 97: *value = 232448; break;
    case 120: *value = 1; break;
    default: *value = (int)attribute;
  }
  return 0;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) { (void)device; ENTER("cuDevicePrimaryCtxRetain"); *context = (CUcontext)0x100; return 0; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { (void)device; note("release context\n"); return 0; }
CUresult cuCtxSetCurrent(CUcontext context) { note("current %p\n", (void *)context); return 0; }

CUresult cuMemGetInfo_v2(size_t *available, size_t *total) { *available = free_bytes; *total = (size_t)141 << 30; return 0; }
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  ENTER("cuMemAlloc_v2");
  size_t *block = malloc(bytes + 16);
  block[0] = bytes;
  allocated_bytes += bytes;
  *address = (CUdeviceptr)(uintptr_t)(block + 2);
  return 0;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
  size_t *block = (size_t *)(uintptr_t)address - 2;
  allocated_bytes -= block[0];
  free(block);
  return 0;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) { (void)stream; ENTER("cuMemcpyHtoDAsync_v2"); memcpy((void *)(uintptr_t)to, from, bytes); return 0; }
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) { (void)stream; ENTER("cuMemcpyDtoHAsync_v2"); memcpy(to, (void *)(uintptr_t)from, bytes); return 0; }
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) { (void)stream; ENTER("cuMemcpyDtoDAsync_v2"); memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes); return 0; }
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char byte, size_t bytes, CUstream stream) { (void)stream; ENTER("cuMemsetD8Async"); memset((void *)(uintptr_t)to, byte, bytes); return 0; }

// Code: the stub's compiler passes its source on as machine code, and a kernel is there where its name is in it.
enum { SCALE, ADD_ONE, FAULT };
static const char *const NAMES[] = {"scale", "add_one", "fault"};
CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *o, void **v, unsigned n, CUlibraryOption *lo, void **lv, unsigned ln) {
  (void)o; (void)v; (void)n; (void)lo; (void)lv; (void)ln;
  ENTER("cuLibraryLoadData");
  note("load library\n");
  *library = (CUlibrary)strdup(code);
  return 0;
}
CUresult cuLibraryUnload(CUlibrary library) { note("unload library\n"); free(library); return 0; }
CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name) {
  char call[80];
  snprintf(call, sizeof call, "%s(", name);
  if (!strstr((const char *)library, call)) return 500;
  for (int i = 0; i < 3; i++) {
    if (strcmp(name, NAMES[i]) == 0) { *kernel = (CUkernel)(uintptr_t)(i + 1); return 0; }
  }
  return 500;
}
CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device) {
  (void)kernel; (void)device;
  switch ((int)attribute) {
    case 0: *value = 512; break;
    case 1: *value = 1024; break;
    case 4: *value = 96; break;
    default: *value = 0;
  }
  return 0;
}
CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device) {
  (void)device;
  ENTER("cuKernelSetAttribute");
  note("set %s %d = %d\n", NAMES[(uintptr_t)kernel - 1], (int)attribute, value);
  return 0;
}

typedef struct { const float *in; float *out; float factor; int n; } ScaleArgs;
typedef struct { int kernel; double us; ScaleArgs scale; float *out; int n; } Node;
struct CUgraph_st { int count, room; Node *nodes; };
static struct CUgraph_st *capturing;

static void execute(const Node *node) {
  clock_us += node->us;
  if (node->kernel == SCALE) for (int i = 0; i < node->scale.n; i++) node->scale.out[i] = node->scale.in[i] * node->scale.factor;
  if (node->kernel == ADD_ONE) for (int i = 0; i < node->n; i++) node->out[i] += 1;
  if (node->kernel == FAULT) sticky = 700;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction function, void **params, void **extra) {
  (void)extra;
  ENTER("cuLaunchKernelEx");
  Node node = {.kernel = (int)(uintptr_t)function - 1, .us = KERNEL_US};
  note("launch %s grid %u %u %u block %u %u %u shared %u stream %p", NAMES[node.kernel], c->gridDimX, c->gridDimY, c->gridDimZ,
       c->blockDimX, c->blockDimY, c->blockDimZ, c->sharedMemBytes, (void *)c->hStream);
  for (unsigned i = 0; i < c->numAttrs; i++) {
    const CUlaunchAttribute *a = &c->attrs[i];
    if (a->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) note(" cluster %u %u %u", a->value.clusterDim.x, a->value.clusterDim.y, a->value.clusterDim.z);
    if (a->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
      note(" pdl %d", a->value.programmaticStreamSerializationAllowed);
      node.us = PDL_KERNEL_US;
    }
  }
  if (node.kernel == SCALE) {
    node.scale = *(const ScaleArgs *)params[0];
    note(" in %p", (const void *)node.scale.in);
  }
  if (node.kernel == ADD_ONE) { node.out = *(float **)params[0]; node.n = *(int *)params[1]; }
  note("\n");
  if (capturing) {
    if (capturing->count == capturing->room) {
      capturing->room = capturing->room * 2 + 16;
      capturing->nodes = realloc(capturing->nodes, capturing->room * sizeof(Node));
    }
    capturing->nodes[capturing->count++] = node;
  } else execute(&node);
  return 0;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) { note("stream flags %u\n", flags); *stream = (CUstream)0x200; return 0; }
CUresult cuStreamDestroy_v2(CUstream stream) { (void)stream; return 0; }
static int asked;
CUresult cuStreamQuery(CUstream stream) { (void)stream; ENTER("cuStreamQuery"); return asked++ % 3 == 0 ? 600 : 0; }
CUresult cuEventCreate(CUevent *event, unsigned flags) { (void)flags; ENTER("cuEventCreate"); *event = malloc(sizeof(double)); return 0; }
CUresult cuEventDestroy_v2(CUevent event) { free(event); return 0; }
CUresult cuEventRecord(CUevent event, CUstream stream) { (void)stream; ENTER("cuEventRecord"); *(double *)event = clock_us; return 0; }
CUresult cuEventQuery(CUevent event) { (void)event; ENTER("cuEventQuery"); return asked++ % 3 == 0 ? 600 : 0; }
#undef cuEventElapsedTime
CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end) { *ms = (float)((*(double *)end - *(double *)start) / 1000); return 0; }

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  (void)stream; (void)mode;
  ENTER("cuStreamBeginCapture_v2");
  capturing = calloc(1, sizeof *capturing);
  return 0;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) { (void)stream; *graph = capturing; capturing = NULL; return 0; }
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
  (void)flags;
  ENTER("cuGraphInstantiateWithFlags");
  struct CUgraph_st *copy = malloc(sizeof *copy);
  *copy = *graph;
  copy->nodes = malloc(graph->count * sizeof(Node));
  memcpy(copy->nodes, graph->nodes, graph->count * sizeof(Node));
  *executable = (CUgraphExec)copy;
  note("graph of %d kernels\n", graph->count);
  return 0;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  (void)stream;
  ENTER("cuGraphLaunch");
  const struct CUgraph_st *graph = (const struct CUgraph_st *)executable;
  for (int i = 0; i < graph->count; i++) execute(&graph->nodes[i]);
  note("run graph\n");
  return 0;
}
CUresult cuGraphDestroy(CUgraph graph) { free(graph->nodes); free(graph); return 0; }
CUresult cuGraphExecDestroy(CUgraphExec executable) { return cuGraphDestroy((CUgraph)executable); }

// Partitions of 8 and up in steps of 8, or of 2 where SMs need not share a cluster's hardware.
CUresult cuDeviceGetDevResource(CUdevice device, CUdevResource *resource, CUdevResourceType type) {
  (void)device;
  memset(resource, 0, sizeof *resource);
  resource->type = type;
  resource->sm.smCount = SM_COUNT;
  resource->sm.minSmPartitionSize = resource->sm.smCoscheduledAlignment = 8;
  return 0;
}
CUresult cuDevSmResourceSplitByCount(CUdevResource *result, unsigned *groups, const CUdevResource *input, CUdevResource *rest, unsigned flags, unsigned least) {
  (void)rest;
  unsigned step = flags & 1 ? 2 : 8, count = (least + step - 1) / step * step;
  if (count > input->sm.smCount) { *groups = 0; return 0; }
  *groups = 1;
  *result = *input;
  result->sm.smCount = count;
  return 0;
}
CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *description, CUdevResource *resources, unsigned count) { (void)count; *description = (CUdevResourceDesc)(uintptr_t)resources->sm.smCount; return 0; }
CUresult cuGreenCtxCreate(CUgreenCtx *green, CUdevResourceDesc description, CUdevice device, unsigned flags) {
  (void)device;
  note("green context of %u SMs, flags %u\n", (unsigned)(uintptr_t)description, flags);
  *green = (CUgreenCtx)0x300;
  return 0;
}
CUresult cuGreenCtxDestroy(CUgreenCtx green) { (void)green; note("destroy green context\n"); return 0; }
CUresult cuCtxFromGreenCtx(CUcontext *context, CUgreenCtx green) { (void)green; *context = (CUcontext)0x400; return 0; }
CUresult cuGreenCtxStreamCreate(CUstream *stream, CUgreenCtx green, unsigned flags, int priority) { (void)green; (void)priority; note("green stream flags %u\n", flags); *stream = (CUstream)0x500; return 0; }
