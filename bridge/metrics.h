// Metrics that plugins define, as Envoy's counters, gauges and histograms. Envoy lets no module read one, so the bridge
// counts along.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "golang.h"

namespace bridge {

class Metrics {
public:
  enum class Kind : uint32_t { Counter, Gauge, Histogram };

  // While it makes a configuration, Envoy lets it define metrics, and not later. Those that a plugin defines later are
  // recorded as golang.late_counter, golang.late_gauge and golang.late_histogram with a tag, metric, of their name.
  explicit Metrics(void *envoy_config);

  Result define(Kind kind, const std::string &name, uint32_t *id);

  // Any thread may call these. After detach they change nothing.
  Result increment(uint32_t id, int64_t by);
  Result record(uint32_t id, uint64_t value);
  Result read(uint32_t id, uint64_t *value);

  // apply records on Envoy's side what could not be before, where that takes a stream: with Envoy 1.38.
  void apply(void *envoy_filter);
  bool pending() const { return pending_.load(std::memory_order_relaxed); }

  // detach ends the use of Envoy's configuration.
  void detach();

private:
  using Total = std::shared_ptr<std::atomic<uint64_t>>;

  enum class Change { Add, Subtract, Set };

  struct Metric {
    Kind kind;
    size_t envoy_id;
    std::string tag; // not empty: of a late one
    Total total; // shared by all metrics of that kind and name in the process, as Envoy's are
  };

  struct Delayed {
    Metric metric;
    Change change;
    uint64_t value;
  };

  bool define_in_envoy(Kind kind, const std::string &name, const char *label, size_t *id);
  void tell(void *to, bool by_config, const Metric &metric, Change change, uint64_t value);
  static Total total_of(Kind kind, const std::string &name);

  Metric *find(uint32_t id);
  void change(const Metric &metric, Change change, uint64_t value);

  std::mutex mutex_;
  void *config_;
  std::vector<Metric> metrics_; // an id is 1 + an index
  std::vector<Delayed> delayed_;
  std::atomic<bool> pending_{false};
  size_t late_[3]; // Envoy's ids
};

} // namespace bridge
