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

Result Metrics::define(Kind kind, const std::string &name, uint32_t *id) {
  using Define = T(metrics_result) (*)(void *, mbuf, mbuf *, size_t, size_t *);
  static const Define defines[] = {CB(http_filter_config_define_counter), CB(http_filter_config_define_gauge),
                                   CB(http_filter_config_define_histogram)};
  *id = 0; // of no metric
  if (kind > Kind::Histogram)
    return Result::NotFound;
  std::lock_guard<std::mutex> lock(mutex_);
  Metric m{kind, 0, total_of(kind, name)};
  auto done = config_ == nullptr
                  ? T(metrics_result_Frozen)
                  : defines[static_cast<int>(kind)](config_, out(name), nullptr, 0, &m.envoy_id);
  if (done != T(metrics_result_Success)) {
    log(Level::Error, "metric ", name, " is not defined: a plugin must define its metrics in Parse");
    return Result::Failed;
  }
  metrics_.push_back(m);
  *id = static_cast<uint32_t>(metrics_.size());
  return Result::Ok;
}

Metrics::Metric *Metrics::find(uint32_t id) { return id == 0 || id > metrics_.size() ? nullptr : &metrics_[id - 1]; }

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
  if (Recorder now = recorder(m.kind, static_cast<int>(change), true)) {
    now(config_, m.envoy_id, nullptr, 0, value);
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
    recorder(d.metric.kind, static_cast<int>(d.change), false)(envoy_filter, d.metric.envoy_id, nullptr, 0, d.value);
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
