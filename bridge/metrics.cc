#include "metrics.h"

#include <map>

#include "config.h"
#include "log.h"

namespace bridge {
namespace {

using Recorder = T(metrics_result) (*)(void *, size_t, mbuf *, size_t, uint64_t);

// recorder returns what records a change: by any thread with a configuration (from Envoy 1.39 on), or with a stream.
Recorder recorder(Metrics::Kind kind, int change, bool by_config) {
  static const Recorder with_config[] = {CB(http_filter_config_increment_gauge), CB(http_filter_config_decrement_gauge),
                                         CB(http_filter_config_set_gauge)};
  static const Recorder with_stream[] = {CB(http_filter_increment_gauge), CB(http_filter_decrement_gauge),
                                         CB(http_filter_set_gauge)};
  switch (kind) {
  case Metrics::Kind::Counter:
    return by_config ? CB(http_filter_config_increment_counter) : CB(http_filter_increment_counter);
  case Metrics::Kind::Histogram:
    return by_config ? CB(http_filter_config_record_histogram_value) : CB(http_filter_record_histogram_value);
  default:
    return (by_config ? with_config : with_stream)[change];
  }
}

} // namespace

Metrics::Total Metrics::total_of(Kind kind, const std::string &name) {
  static auto *mutex = new std::mutex;
  static auto *totals = new std::map<std::pair<Kind, std::string>, std::weak_ptr<std::atomic<uint64_t>>>;
  std::lock_guard<std::mutex> lock(*mutex);
  auto &known = (*totals)[{kind, name}];
  Total total = known.lock();
  if (total == nullptr)
    known = total = std::make_shared<std::atomic<uint64_t>>(0);
  return total;
}

Metrics::Metrics(void *envoy_config) : config_(envoy_config) {
  const char *late[] = {"golang.late_counter", "golang.late_gauge", "golang.late_histogram"};
  for (int kind = 0; kind < 3; kind++)
    if (!define_in_envoy(static_cast<Kind>(kind), late[kind], "metric", &late_[kind]))
      log(Level::Error, "Envoy refuses to define ", late[kind]);
}

bool Metrics::define_in_envoy(Kind kind, const std::string &name, const char *label, size_t *id) {
  using Define = T(metrics_result) (*)(void *, mbuf, mbuf *, size_t, size_t *);
  static const Define defines[] = {CB(http_filter_config_define_counter), CB(http_filter_config_define_gauge),
                                   CB(http_filter_config_define_histogram)};
  mbuf labels[] = {out(label == nullptr ? "" : label)};
  return defines[static_cast<int>(kind)](config_, out(name), label == nullptr ? nullptr : labels, label != nullptr,
                                         id) == T(metrics_result_Success);
}

Result Metrics::define(Kind kind, const std::string &name, uint32_t *id) {
  *id = 0; // of no metric
  if (kind > Kind::Histogram)
    return Result::NotFound;
  std::lock_guard<std::mutex> lock(mutex_);
  if (config_ == nullptr)
    return Result::Failed;
  Metric m{kind, late_[static_cast<int>(kind)], "", total_of(kind, name)};
  if (!define_in_envoy(kind, name, nullptr, &m.envoy_id))
    m.tag = name;
  metrics_.push_back(m);
  *id = static_cast<uint32_t>(metrics_.size());
  return Result::Ok;
}

Metrics::Metric *Metrics::find(uint32_t id) { return id == 0 || id > metrics_.size() ? nullptr : &metrics_[id - 1]; }

void Metrics::tell(void *to, bool by_config, const Metric &m, Change change, uint64_t value) {
  mbuf tags[] = {out(m.tag)};
  recorder(m.kind, static_cast<int>(change), by_config)(to, m.envoy_id, m.tag.empty() ? nullptr : tags, !m.tag.empty(),
                                                        value);
}

void Metrics::change(const Metric &m, Change change, uint64_t value) {
  switch (m.kind == Kind::Gauge ? change : Change::Add) {
  case Change::Add:
    m.total->fetch_add(value, std::memory_order_relaxed);
    break;
  case Change::Subtract:
    m.total->fetch_sub(value, std::memory_order_relaxed);
    break;
  case Change::Set:
    m.total->store(value, std::memory_order_relaxed);
  }
  if (config_ == nullptr)
    return;
  if (recorder(m.kind, static_cast<int>(change), true) != nullptr) {
    tell(config_, true, m, change, value);
    return;
  }
  delayed_.push_back({m, change, value});
  pending_.store(true, std::memory_order_relaxed);
}

Result Metrics::increment(uint32_t id, int64_t by) {
  std::lock_guard<std::mutex> lock(mutex_);
  Metric *m = find(id);
  if (m == nullptr)
    return Result::NotFound;
  if (by > 0)
    change(*m, Change::Add, static_cast<uint64_t>(by));
  else if (by < 0 && m->kind == Kind::Gauge)
    change(*m, Change::Subtract, -static_cast<uint64_t>(by));
  return Result::Ok;
}

Result Metrics::record(uint32_t id, uint64_t value) {
  std::lock_guard<std::mutex> lock(mutex_);
  Metric *m = find(id);
  if (m == nullptr)
    return Result::NotFound;
  change(*m, Change::Set, value); // counters and histograms add it
  return Result::Ok;
}

Result Metrics::read(uint32_t id, uint64_t *value) {
  std::lock_guard<std::mutex> lock(mutex_);
  Metric *m = find(id);
  if (m == nullptr)
    return Result::NotFound;
  if (m->kind != Kind::Histogram)
    *value = m->total->load(std::memory_order_relaxed);
  return Result::Ok;
}

void Metrics::apply(void *envoy_filter) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Delayed &d : delayed_)
    tell(envoy_filter, false, d.metric, d.change, d.value);
  delayed_.clear();
  pending_.store(false, std::memory_order_relaxed);
}

void Metrics::detach() {
  std::lock_guard<std::mutex> lock(mutex_);
  config_ = nullptr;
}

} // namespace bridge

using namespace bridge;

namespace {

Metrics &metrics_of(void *handle) { return *static_cast<ConfigHandle *>(static_cast<GoConfig *>(handle))->metrics; }

} // namespace

GOAPI int envoyGoFilterHttpDefineMetric(void *c, uint32_t kind, void *name, int length, uint32_t *id) {
  return static_cast<int>(
      metrics_of(c).define(static_cast<Metrics::Kind>(kind), std::string(static_cast<char *>(name), length), id));
}

GOAPI int envoyGoFilterHttpIncrementMetric(void *c, uint32_t id, int64_t by) {
  return static_cast<int>(metrics_of(c).increment(id, by));
}

GOAPI int envoyGoFilterHttpGetMetric(void *c, uint32_t id, uint64_t *value) {
  return static_cast<int>(metrics_of(c).read(id, value));
}

GOAPI int envoyGoFilterHttpRecordMetric(void *c, uint32_t id, uint64_t value) {
  return static_cast<int>(metrics_of(c).record(id, value));
}
