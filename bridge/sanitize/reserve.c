// Keeps the addresses of AddressSanitizer's shadow memory and of its allocator free until the bridge, built with it, is
// loaded. Envoy's allocator asks for memory at random addresses: AddressSanitizer does not start if there is some in
// the one range, and takes what is in the other. For LD_PRELOAD.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static struct {
  uintptr_t from, to;
  int reserved;
} ranges[] = {{0x7fff7000, 0x10007fff8000, 0}, {0x600000000000, 0x640000002000, 0}}; // of x86-64

enum { RANGES = sizeof ranges / sizeof *ranges };

__attribute__((constructor(101))) static void reserve(void) {
  for (int i = 0; i < RANGES; i++)
    ranges[i].reserved =
        mmap((void *)ranges[i].from, ranges[i].to - ranges[i].from, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
}

void *dlopen(const char *path, int flags) {
  static void *(*real)(const char *, int);
  if (real == NULL)
    real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
  if (path != NULL && strstr(path, "libgolang_bridge") != NULL)
    for (int i = 0; i < RANGES; i++) {
      if (ranges[i].reserved)
        munmap((void *)ranges[i].from, ranges[i].to - ranges[i].from);
      ranges[i].reserved = 0;
    }
  return real(path, flags);
}
