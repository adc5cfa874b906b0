#include "request.h"

#include "accesslog.h"
#include "attributes.h"
#include "headers.h"
#include "log.h"
#include "metadata.h"

namespace bridge {

Request::Request(Config *c, void *e)
    : config(c), envoy(e), decode(this, 0), encode(this, 1), worker_(std::this_thread::get_id()) {
  plugin_name = c->settings.plugin_name.data();
  plugin_name_length = c->settings.plugin_name.size();
  config_id = 0;
  worker_id = CB(http_filter_get_worker_index)(e);
  logging = 0;
  alive.requests.fetch_add(1, std::memory_order_relaxed);
  announce(this);
}

Request::~Request() { alive.requests.fetch_sub(1, std::memory_order_relaxed); }

void Request::drop() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    delete this;
}

bool Request::ready() {
  if (resolved_)
    return !passing;
  resolved_ = true;
  uint64_t id = config->id;
  if (RouteConfig::any() && route_open()) {
    auto *route = static_cast<RouteConfig *>(const_cast<void *>(CB(get_most_specific_route_config)(envoy)));
    auto found = route == nullptr ? RouteConfig::Found::Nothing : route->find(*config, &id);
    passing = found == RouteConfig::Found::Disabled || found == RouteConfig::Found::Failed;
    bad_route = found == RouteConfig::Found::Failed;
    if (bad_route)
      log(Level::Error, "plugin ", config->settings.plugin_name, " refuses the route's configuration: request refused");
  }
  if (passing)
    return false;
  config_id = id;
  refs_.fetch_add(1, std::memory_order_relaxed); // Go's
  return true;
}

bool Request::route_open() const {
  uint64_t code; // Envoy has one before the response's headers reach a filter, and keeps it
  return !answered_ && !number_attribute(*this, ResponseCode, &code);
}

void Request::answered() {
  if (answered_)
    return;
  answered_ = true;
  look_for_cluster();
  if (has_cluster_)
    cluster_metadata_ = read_metadata(envoy, MetadataOf::Cluster);
}

Json Request::cluster_metadata() const {
  return route_open() ? read_metadata(envoy, MetadataOf::Cluster) : cluster_metadata_;
}

void Request::look_for_cluster() {
  ebuf name;
  std::lock_guard<std::mutex> lock(mutex);
  has_cluster_ = CB(http_get_cluster_name)(envoy, &name);
  cluster_ = has_cluster_ ? in(name) : View();
}

bool Request::cluster(std::string *name) const {
  ebuf now;
  if (on_worker() && route_open()) {
    has_cluster_ = CB(http_get_cluster_name)(envoy, &now);
    cluster_ = has_cluster_ ? in(now) : View();
  }
  *name = cluster_;
  return has_cluster_;
}

void Request::enter(Lane *lane, int state, bool end) {
  std::lock_guard<std::mutex> lock(mutex);
  if (lane != nullptr) {
    lane->state = state;
    lane->turn_end = end;
    lane->turn++;
  }
  in_go++;
}

void Request::leave(Lane *lane, bool running) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (running) { // calls from other threads come now, and they find no worker that waits in Go
      need_scheduler();
      keep_headers(*lane);
    }
    in_go--;
    in_log = false;
  }
  if (config->metrics->pending())
    config->metrics->apply(envoy);
}

bool Request::need_scheduler() {
  if (scheduler_ == nullptr && !gone && direct())
    scheduler_ = CB(http_filter_scheduler_new)(envoy);
  return scheduler_ != nullptr;
}

void Request::commit() {
  if (committed_ || working_ || !need_scheduler())
    return;
  committed_ = true;
  CB(http_filter_scheduler_commit)(scheduler_, 0);
}

void Request::post(std::function<void()> job, bool wake) {
  posts_.push_back(std::move(job));
  if (wake)
    commit();
}

void Request::wake() {
  std::lock_guard<std::mutex> lock(mutex);
  commit();
}

// take_posts returns what there is to do; when that is nothing, whoever posts must wake the worker again.
std::vector<std::function<void()>> Request::take_posts() {
  std::vector<std::function<void()>> jobs;
  std::lock_guard<std::mutex> lock(mutex);
  jobs.swap(posts_);
  working_ = !jobs.empty();
  committed_ = false;
  return jobs;
}

void Request::scheduled() {
  for (auto jobs = take_posts(); !jobs.empty(); jobs = take_posts())
    for (auto &job : jobs) {
      if (gone)
        return;
      job();
    }
  if (!gone)
    decode.advance();
  if (!gone)
    encode.advance();
}

void Request::access_log(uint64_t type) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    const bool room = config->reads_in_log->load(std::memory_order_relaxed);
    for (Lane *l : {&decode, &encode}) {
      Told &told = l->logged;
      told.no_room = !room;
      for (int kind = 0; kind < 2; kind++)
        count_headers(*l, kind, l->headers_type() + kind, &told.count[kind], room ? &told.bytes[kind] : nullptr);
    }
    in_log = true;
  }
  const Told &in = decode.logged, &out = encode.logged;
  logging = 1;
  enter(nullptr, 0, false);
  go().on_log(this, type, &decode, &encode, in.count[0], in.bytes[0], in.count[1], in.bytes[1], out.count[0],
              out.bytes[0], out.count[1], out.bytes[1]);
  leave(nullptr, false);
  logging = 0;
}

void Request::complete() {
  if (!ready())
    return;
  logging = 1;
  enter(nullptr, 0, false);
  go().on_complete(this);
  leave(nullptr, false);
  logging = 0;
  constexpr uint64_t downstream_end = 6;
  access_log(downstream_end);
}

void Request::destroy() {
  withdraw(this);
  bool busy;
  {
    std::lock_guard<std::mutex> lock(mutex);
    gone = true;
    busy = decode.in_go() || encode.in_go();
    if (scheduler_ != nullptr)
      CB(http_filter_scheduler_delete)(scheduler_);
    scheduler_ = nullptr;
    posts_.clear();
  }
  if (config_id != 0)
    go().on_destroy(this, busy);
  drop();
}

void Request::finalize() { drop(); }

} // namespace bridge

GOAPI void envoyGoFilterHttpFinalize(void *r, int) {
  static_cast<bridge::Request *>(static_cast<bridge::GoRequest *>(r))->finalize();
}
