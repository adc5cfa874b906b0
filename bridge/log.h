// Lines in Envoy's log, of its logger dynamic_modules.
#pragma once

#include <atomic>
#include <string>

#include "envoy.h"

namespace bridge {

enum class Level { Trace, Debug, Info, Warn, Error, Critical };

bool log_enabled(Level level);
void log_line(Level level, View message);

// log writes the parts one behind the other, if Envoy wants that level. Any thread may call it.
template <typename... Parts> void log(Level level, const Parts &...parts) {
  if (!log_enabled(level))
    return;
  std::string line = "golang bridge: ";
  (line.append(View(parts)), ...);
  log_line(level, line);
}

// Once lets something be said in full a single time: limits that every request may hit are logged as warnings the first
// time and at level debug from then on.
class Once {
public:
  Level level() { return said_.exchange(true, std::memory_order_relaxed) ? Level::Debug : Level::Warn; }

private:
  std::atomic<bool> said_{false};
};

} // namespace bridge
