/* trial LIBRARY: loads a libmoe.so and waits until its packages are initialised. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  /* Lazily, because the functions that the library calls are Envoy's. */
  void *library = argc == 2 ? dlopen(argv[1], RTLD_LAZY) : NULL;
  if (library == NULL) {
    fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: trial LIBRARY");
    return 1;
  }
  void (*destroy)(uint64_t, int64_t);
  void *symbol = dlsym(library, "envoyGoFilterDestroyHttpPluginConfig");
  if (symbol == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  memcpy(&destroy, &symbol, sizeof destroy);
  /* Every exported function waits for the initialisers; this one does nothing for a configuration that does not exist. */
  destroy(0, 0);
  _exit(0);
}
