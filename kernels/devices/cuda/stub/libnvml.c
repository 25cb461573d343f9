// A libnvidia-ml.so.1 without a card, for tests.
#include <stdio.h>
#include <string.h>

typedef struct { unsigned pid; unsigned long long usedGpuMemory; unsigned gpuInstanceId, computeInstanceId; } ProcessInfo;
static ProcessInfo processes[8];
static unsigned process_count;
static unsigned long long reasons;

void stub_layout(int *out) {
  out[0] = sizeof(ProcessInfo);
  out[1] = __builtin_offsetof(ProcessInfo, usedGpuMemory);
}
void stub_reasons(unsigned long long bits) { reasons = bits; }
void stub_processes(unsigned count, unsigned first_pid) {
  process_count = count;
  for (unsigned i = 0; i < count; i++) processes[i] = (ProcessInfo){first_pid + i, i == 0 ? 512000000ull : ~0ull, ~0u, ~0u};
}

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { snprintf(text, length, "580.1.2"); return 0; }
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **device) { *device = (void *)1; return strcmp(id, "0000:1b:00.0") == 0 ? 0 : 6; }
int nvmlDeviceGetName(void *device, char *text, unsigned length) { (void)device; snprintf(text, length, "Stub H200"); return 0; }
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz) { (void)device; *mhz = type == 1 ? 1755 : 3201; return 0; }
int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned *mhz) { (void)device; *mhz = type == 1 ? 1980 : 3201; return 0; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *mw) { (void)device; *mw = 650500; return 0; }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *mw) { (void)device; *mw = 700000; return 0; }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *c) { (void)device; (void)sensor; *c = 41; return 0; }
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *bits) { (void)device; *bits = reasons; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, ProcessInfo *infos) {
  (void)device;
  memcpy(infos, processes, process_count * sizeof *infos);
  *count = process_count;
  return 0;
}
