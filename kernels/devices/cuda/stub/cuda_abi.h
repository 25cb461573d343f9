// The parts of cuda.h that the stub needs. Where the real cuda.h is found the stub is compiled against it instead, so
// that every prototype and struct below is checked by the compiler on machines that have a toolkit.
#pragma once
#include <stddef.h>

#if defined(__has_include) && !defined(KVTUNE_OWN_CUDA_ABI)
#if __has_include(<cuda.h>)
#define KVTUNE_REAL_CUDA_H 1
#endif
#endif

#ifdef KVTUNE_REAL_CUDA_H
#include <cuda.h>
#else
typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUfunc_st *CUfunction;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgreenCtx_st *CUgreenCtx;
typedef struct CUdevResourceDesc_st *CUdevResourceDesc;
typedef int CUdevice_attribute;
typedef int CUfunction_attribute;
typedef int CUjit_option;
typedef int CUlibraryOption;
typedef int CUstreamCaptureMode;
typedef int CUdevResourceType;
enum { CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION = 4, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6 };
typedef union {
  char pad[64];
  struct { unsigned x, y, z; } clusterDim;
  int programmaticStreamSerializationAllowed;
} CUlaunchAttributeValue;
typedef struct {
  int id;
  char pad[8 - sizeof(int)];
  CUlaunchAttributeValue value;
} CUlaunchAttribute;
typedef struct {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
} CUlaunchConfig;
typedef struct { unsigned smCount, minSmPartitionSize, smCoscheduledAlignment; } CUdevSmResource;
typedef struct {
  CUdevResourceType type;
  unsigned char padding[92];
  union { CUdevSmResource sm; unsigned char oversize[48]; };
} CUdevResource;
#endif
