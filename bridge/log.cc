#include "log.h"

#include <cstdio>

#include "golang.h"
#include "probe.h"

namespace bridge {

// Initialisers may log. While they are tried there is no Envoy to ask or to tell, only one that reads stderr.
bool log_enabled(Level level) {
  return probed() ? level >= Level::Warn : CB(log_enabled)(static_cast<T(log_level)>(level));
}

void log_line(Level level, View message) {
  if (probed())
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
  else
    CB(log)(static_cast<T(log_level)>(level), out(message));
}

} // namespace bridge

using namespace bridge;

// Levels have the same numbers on both sides.
GOAPI void envoyGoFilterLog(uint32_t level, void *data, int length) {
  Level to = level > static_cast<uint32_t>(Level::Critical) ? Level::Error : static_cast<Level>(level);
  if (log_enabled(to))
    log_line(to, View(static_cast<char *>(data), length));
}

// The lowest level that is logged; 6, off, if none is.
GOAPI uint32_t envoyGoFilterLogLevel() {
  uint32_t level = 0;
  while (level <= static_cast<uint32_t>(Level::Critical) && !log_enabled(static_cast<Level>(level)))
    level++;
  return level;
}
