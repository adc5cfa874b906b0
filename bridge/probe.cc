// Envoy's side of a library's trial: starting the process, and judging how it ended.
#include "probe.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <map>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "log.h"

namespace bridge {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int default_seconds = 60;
constexpr size_t most_output = 64 << 10; // the last of what the process writes
constexpr size_t most_reason = 500;      // of it in a message

// patience returns how many seconds initialisers have; 0 if nobody wants them to be tried.
int patience() {
  const char *s = std::getenv("GOLANG_BRIDGE_PROBE");
  if (s == nullptr || *s == '\0')
    return default_seconds;
  if (std::strcmp(s, "off") == 0)
    return 0;
  char *end;
  long n = std::strtol(s, &end, 10);
  if (*end == '\0' && n >= 1 && n <= 3600)
    return static_cast<int>(n);
  log(Level::Warn, "GOLANG_BRIDGE_PROBE is \"", s, "\", and should be off or 1 to 3600 seconds: 60 is taken");
  return default_seconds;
}

// Pipe is above the descriptors that the process gets, which may be free in Envoy.
struct Pipe {
  int read = -1, write = -1;

  ~Pipe() {
    shut(&read);
    shut(&write);
  }

  static void shut(int *fd) {
    if (*fd >= 0)
      close(*fd);
    *fd = -1;
  }

  bool open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
      return false;
    read = fcntl(ends[0], F_DUPFD_CLOEXEC, probe_pipe + 1);
    write = fcntl(ends[1], F_DUPFD_CLOEXEC, probe_pipe + 1);
    int why = errno;
    close(ends[0]);
    close(ends[1]);
    errno = why;
    return read >= 0 && write >= 0 && fcntl(read, F_SETFL, O_NONBLOCK) == 0;
  }
};

// module returns the file to preload. The list of those knows no way to write a space or a colon.
std::string module() {
#ifdef PROBE_MODULE // the sanitizers' runtime cannot be preloaded in Envoy
  return PROBE_MODULE;
#else
  Dl_info self;
  char *real = dladdr(reinterpret_cast<void *>(&survives), &self) == 0 ? nullptr : realpath(self.dli_fname, nullptr);
  std::string path = real == nullptr ? "" : real;
  std::free(real);
  return path.find_first_of(" :") == std::string::npos ? path : "";
#endif
}

// Trial is one process.
struct Trial {
  Pipe progress, output;
  pid_t pid = -1;
  bool begun = false, done = false, late = false;
  int status = -1; // as waitpid's; -1 if Envoy's other children's keeper took it
  std::string said;

  int start(const std::string &module, const std::string &path);
  void watch(Clock::time_point deadline);

private:
  bool listen();
  void hear();
  bool ended();
};

// start returns an error number.
int Trial::start(const std::string &module, const std::string &path) {
  if (!progress.open() || !output.open())
    return errno;
  std::string preload = "LD_PRELOAD=" + module;
  std::string job = std::string(probe_job) + "=" + std::to_string(getpid()) + ":" + path;
  std::vector<char *> env;
  for (char **e = environ; *e != nullptr; e++)
    if (std::strncmp(*e, "LD_PRELOAD=", 11) != 0)
      env.push_back(*e);
    else if ((*e)[11] != '\0')
      preload += std::string(":") + (*e + 11);
  env.insert(env.end(), {preload.data(), job.data(), nullptr});
  // Should the bridge not come up in it, Envoy's main runs, and does nothing either.
  std::string name = "envoy", argument = "--version";
  char *argv[] = {name.data(), argument.data(), nullptr};

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output.write, 1);
  posix_spawn_file_actions_adddup2(&files, output.write, 2);
  posix_spawn_file_actions_adddup2(&files, progress.write, probe_pipe);
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setpgroup(&how, 0); // so that what the library starts can be ended with it
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  int failed = posix_spawn(&pid, "/proc/self/exe", &files, &how, argv, env.data());
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
  Pipe::shut(&progress.write);
  Pipe::shut(&output.write);
  return failed;
}

// listen reads the pipe of progress; it returns false at its end.
bool Trial::listen() {
  char how_far;
  ssize_t n;
  while ((n = ::read(progress.read, &how_far, 1)) == 1) {
    begun = begun || how_far == probe_begun;
    done = done || how_far == probe_done;
  }
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

void Trial::hear() {
  char part[4096];
  ssize_t n;
  while (output.read >= 0 && (n = ::read(output.read, part, sizeof part)) >= 0) {
    if (n == 0)
      Pipe::shut(&output.read);
    said.append(part, static_cast<size_t>(n));
    if (said.size() > 2 * most_output)
      said.erase(0, said.size() - most_output);
    if (n < static_cast<ssize_t>(sizeof part))
      return;
  }
}

// ended looks for the process's end and leaves it to be collected, so that its number stays its own.
bool Trial::ended() {
  siginfo_t info;
  info.si_pid = 0;
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid == pid
                                                                                       : errno != EINTR;
}

// watch returns when the process has said that it is done, has ended, or is late; it has ended then in any case.
void Trial::watch(Clock::time_point deadline) {
  bool open = true;
  while (!done && !late && !(!open && ended())) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    late = left <= 0;
    pollfd fds[] = {{output.read, POLLIN, 0}, {open ? progress.read : -1, POLLIN, 0}};
    int wait = static_cast<int>(std::max<long long>(left, 0));
    poll(fds, 2, open ? wait : std::min(wait, 1)); // behind the pipe's end there is nothing to wait for but waitid
    hear();
    open = open && listen();
  }
  siginfo_t info;
  bool ours = waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  if (ours) {
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
      if (errno != EINTR) {
        status = -1;
        break;
      }
  }
  hear();
}

// reason finds in what the process wrote why it ended: Go's panic, or else its last lines.
std::string reason(const std::string &said) {
  size_t from = std::string::npos;
  for (const char *word : {"panic: ", "fatal error: "}) {
    size_t at = said.compare(0, std::strlen(word), word) == 0 ? 0 : said.find(std::string("\n") + word);
    from = std::min(from, at);
  }
  if (from == std::string::npos) {
    size_t end = said.find_last_not_of('\n');
    from = end == std::string::npos ? said.size() : end;
    for (int lines = 0; lines < 3 && from != std::string::npos && from > 0; lines++)
      from = said.rfind('\n', from - 1);
    from = from == std::string::npos ? 0 : from;
  }
  from = std::min(said.find_first_not_of('\n', from), said.size());
  std::string text = said.substr(from, std::min(said.find("\n\n", from), from + most_reason) - from), line;
  for (char c : text.substr(0, text.find_last_not_of(" \t\r\n") + 1))
    if (c == '\n')
      line += "; ";
    else if (c != '\t' && c != '\r')
      line.push_back(static_cast<unsigned char>(c) < 0x20 ? '?' : c);
  return line.empty() ? line : ": " + line;
}

std::string ending(const Trial &t, int seconds) {
  if (t.late)
    return "its initialisers do not end within " + std::to_string(seconds) +
           " seconds (the environment variable GOLANG_BRIDGE_PROBE sets another number)";
  std::string end = "its initialisers end the process";
  if (t.status >= 0 && WIFSIGNALED(t.status))
    return end + ", by signal " + std::to_string(WTERMSIG(t.status)) + " (" + strsignal(WTERMSIG(t.status)) + ")";
  if (t.status >= 0 && WIFEXITED(t.status))
    return end + ", with status " + std::to_string(WEXITSTATUS(t.status));
  return end;
}

// File is one version of a library's file.
struct File {
  dev_t device = 0;
  ino_t inode = 0;
  timespec changed = {};

  explicit File(const std::string &path) {
    struct stat st;
    if (stat(path.c_str(), &st) == 0) {
      device = st.st_dev;
      inode = st.st_ino;
      changed = st.st_mtim;
    }
  }

  bool operator==(const File &o) const {
    return device == o.device && inode == o.inode && changed.tv_sec == o.changed.tv_sec &&
           changed.tv_nsec == o.changed.tv_nsec;
  }
};

} // namespace

bool survives(const std::string &path, std::string *error) {
  // Libraries that were late, which are not waited for again. What else is wrong with one may be mended outside of it.
  static auto *late = new std::map<std::string, std::pair<File, std::string>>;
  int seconds = patience();
  if (seconds == 0 || dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD) != nullptr) // it has come up here already
    return true;
  File file(path);
  auto before = late->find(path);
  if (before != late->end() && before->second.first == file) {
    *error = before->second.second;
    return false;
  }
  auto began = Clock::now();
  Trial t;
  std::string bridge = module(), obstacle;
  if (bridge.empty())
    obstacle = ": the bridge's own path is unknown, or has a space or a colon in it";
  else if (int failed = t.start(bridge, path))
    obstacle = std::string(": ") + std::strerror(failed);
  else {
    t.watch(began + std::chrono::seconds(seconds));
    if (!t.begun)
      obstacle = ": the bridge was not preloaded there" + reason(t.said);
  }
  if (!obstacle.empty()) {
    log(Level::Warn, "cannot try the initialisers of ", path, " in a process of their own, so if they panic Envoy ends",
        obstacle);
    return true;
  }
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
  log(Level::Debug, "tried the initialisers of ", path, " in a process of their own: ", std::to_string(took), " ms");
  if (t.done)
    return true;
  *error = ending(t, seconds) + reason(t.said);
  if (t.late)
    late->insert_or_assign(path, std::make_pair(file, *error));
  return false;
}

} // namespace bridge
