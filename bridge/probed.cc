// The process in which a library is on trial: all of it happens in a constructor of the bridge, before Envoy's main.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

namespace bridge {
namespace {

bool on_trial = false;

// forget takes a variable out of the array that the process was started with: that is the one that Go reads.
void forget(const char *name) {
  size_t n = std::strlen(name);
  char **to = environ;
  for (char **from = environ; *from != nullptr; from++)
    if (std::strncmp(*from, name, n) != 0 || (*from)[n] != '=')
      *to++ = *from;
  *to = nullptr;
}

// restore_preload takes the bridge from the list of libraries that processes of the library's own would preload.
void restore_preload() {
  char *list = std::getenv("LD_PRELOAD"), *others = list == nullptr ? nullptr : std::strchr(list, ':');
  if (others == nullptr)
    forget("LD_PRELOAD");
  else
    std::memmove(list, others + 1, std::strlen(others + 1) + 1);
}

// close_others closes what Envoy had open and did not mean to hand on.
void close_others() {
  constexpr long close_range = 436; // the same number everywhere; Linux 5.9
  if (syscall(close_range, probe_pipe + 1, ~0U, 0) == 0)
    return;
  DIR *all = opendir("/proc/self/fd");
  if (all == nullptr)
    return;
  while (dirent *e = readdir(all)) {
    int fd = std::atoi(e->d_name);
    if (fd > probe_pipe && fd != dirfd(all))
      close(fd);
  }
  closedir(all);
}

void tell(char how_far) {
  if (write(probe_pipe, &how_far, 1) != 1)
    _exit(1); // nobody listens
}

__attribute__((constructor)) void stand_trial() {
  const char *job = std::getenv(probe_job);
  if (job == nullptr)
    return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char *path;
  long parent = std::strtol(job, &path, 10);
  if (*path != ':' || parent != getppid())
    return; // an environment that somebody else has made
  path++;
  on_trial = true;
  forget(probe_job);
  restore_preload();
  fcntl(probe_pipe, F_SETFD, FD_CLOEXEC);
  close_others();
  rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core); // the panic's text says what a core would
  tell(probe_begun);
  // Loading starts Go; the functions that a library exports wait for its initialisers. To destroy a configuration that
  // does not exist does nothing else, in every SDK. What cannot be loaded is refused again, and said, in Envoy.
  void *handle = dlopen(path, RTLD_LAZY);
  using Destroy = void (*)(uint64_t id, int64_t delay);
  if (handle != nullptr)
    if (auto destroy = reinterpret_cast<Destroy>(dlsym(handle, "envoyGoFilterDestroyHttpPluginConfig")))
      destroy(0, 0);
  tell(probe_done);
  _exit(0);
}

} // namespace

bool probed() { return on_trial; }

} // namespace bridge
