// A libnvrtc without a compiler, for tests: the source is the machine code, `#error` is an error, and each
// `__global__ void name(` gets a line of figures.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *source; char log[4096]; int headers; char first_header[64]; } Program;
static int compiled, versions[2] = {13, 0};

int stub_compiled(void) { return compiled; }

const char *nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_INVALID_INPUT"; }
int nvrtcVersion(int *major, int *minor) { *major = versions[0]; *minor = versions[1]; return 0; }
int nvrtcGetNumSupportedArchs(int *count) { *count = 2; return 0; }
int nvrtcGetSupportedArchs(int *archs) { archs[0] = 80; archs[1] = 90; return 0; }
int nvrtcCreateProgram(void **program, const char *source, const char *name, int headers, const char *const *texts, const char *const *names) {
  (void)name;
  Program *p = calloc(1, sizeof *p);
  p->source = strdup(source);
  p->headers = headers;
  if (headers > 0) snprintf(p->first_header, sizeof p->first_header, "%s: %s", names[0], texts[0]);
  *program = p;
  return 0;
}
int nvrtcDestroyProgram(void **program) { Program *p = *program; free(p->source); free(p); return 0; }
int nvrtcCompileProgram(void *program, int count, const char *const *options) {
  Program *p = program;
  __sync_fetch_and_add(&compiled, 1);
  size_t at = 0;
  if (p->headers > 0) at += snprintf(p->log, sizeof p->log, "header %s\n", p->first_header);
  for (int i = 0; i < count; i++) at += snprintf(p->log + at, sizeof p->log - at, "option %s\n", options[i]);
  if (strstr(p->source, "#error")) {
    snprintf(p->log + at, sizeof p->log - at, "stage1.cu(3): error: identifier \"nope\" is undefined\n\n1 error detected.\n");
    return 6;
  }
  for (char *k = p->source; (k = strstr(k, "__global__ void ")); ) {
    k += strlen("__global__ void ");
    at += snprintf(p->log + at, sizeof p->log - at,
      "ptxas info    : Compiling entry function '%.*s' for 'sm_90a'\n"
      "ptxas         .     16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads\n"
      "ptxas info    : Used 96 registers, used 0 barriers\n", (int)strcspn(k, "("), k);
  }
  return 0;
}
int nvrtcGetProgramLogSize(void *program, size_t *size) { *size = strlen(((Program *)program)->log) + 1; return 0; }
int nvrtcGetProgramLog(void *program, char *log) { strcpy(log, ((Program *)program)->log); return 0; }
int nvrtcGetCUBINSize(void *program, size_t *size) { *size = strlen(((Program *)program)->source) + 1; return 0; }
int nvrtcGetCUBIN(void *program, char *cubin) { strcpy(cubin, ((Program *)program)->source); return 0; }
