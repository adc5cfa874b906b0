// One stream of Envoy that passes a filter, as Envoy and Go share it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config.h"
#include "envoy.h"
#include "golang.h"
#include "json.h"
#include "lane.h"

namespace bridge {

// Request is the memory that Go knows as its httpRequest, and Envoy as the module's filter. It is freed when both are
// done with it and no hook of it is on the stack: Envoy with the destroy hook, Go when its collector drops its side.
//
// Envoy's callbacks are for the stream's worker. While that is inside Go it does nothing else, so that a call from
// another thread may read what Envoy holds, under the mutex, which the worker's own calls from Go take too. Otherwise
// calls from other threads read snapshots, and what they change is posted to the worker.
class Request : public GoRequest {
public:
  Request(Config *config, void *envoy);

  // Held keeps the request alive in a scope.
  class Held {
  public:
    explicit Held(Request *r) : request_(r) { r->refs_.fetch_add(1, std::memory_order_relaxed); }
    ~Held() { request_->drop(); }
    Held(const Held &) = delete;

  private:
    Request *request_;
  };

  // Events, on the worker.
  void scheduled();
  void complete();
  void access_log(uint64_t type);
  void destroy();  // Envoy is done
  void finalize(); // Go is done; any thread

  // ready finds the plugin's configuration for this stream, once. It returns false if Go is not to be entered: the
  // route disables the plugin, or its configuration is bad.
  bool ready();

  bool on_worker() const { return std::this_thread::get_id() == worker_; }
  // direct reports whether the caller, who holds the mutex, may read Envoy's side now.
  bool direct() const { return on_worker() || in_go > 0; }

  // enter marks the time in which the worker is inside Go.
  void enter(Lane *lane, int state, bool end);
  void leave(Lane *lane, bool running);
  const Exports &go() const { return config->library->go; }

  // post has job run on the worker, in the order of posts. wake: soon; else before the next job that is.
  // The caller holds the mutex.
  void post(std::function<void()> job, bool wake = true);
  // wake has the lanes looked at when the hook under way has returned; on the worker.
  void wake();

  // The route, on the worker. Envoy aborts when it is asked for the cluster of a stream that has no route and gets none any
  // more: it was cleared, by any filter, or never looked for, and the response's headers have gone. answered must be
  // called before they go; it takes the cluster's name and metadata.
  void answered();
  bool route_open() const; // Envoy still chooses a route where it has none
  void look_for_cluster();

  // cluster is that of the route. The caller holds the mutex; one on another thread gets the name as the worker last saw
  // it, because to look for a route takes what only Envoy's threads have.
  bool cluster(std::string *name) const;
  // cluster_metadata is the cluster's core.Metadata, or null. On the worker.
  Json cluster_metadata() const;

  // reply answers with a response of the plugin's, given in a phase of lane; panic does after a panic. From jobs.
  void reply(Lane &lane, Reply reply);
  void panic(Lane &lane);
  // send has Envoy send a response and no other.
  void send(const Reply &reply);

  Config *const config;
  void *const envoy;
  std::mutex mutex;
  int in_go = 0;     // depth of the worker's calls into Go
  bool in_log = false;  // the worker is in a log phase of Go's
  bool gone = false;    // Envoy's side is destroyed
  bool replied = false; // the plugin sent a response of its own: what else comes is dropped
  bool sent = false;    // and it is out
  bool passing = false; // Go is not to be entered: the plugin is disabled here, or
  bool bad_route = false; // the route has a configuration that it refuses
  uint64_t number = 0;  // in its worker's access logs
  std::string value;    // of the last answer to Go, which copies it at once
  std::string details;  // of a local reply that was not the plugin's
  uint64_t bytes[2] = {0, 0};
  const std::chrono::system_clock::time_point start = std::chrono::system_clock::now();
  Lane decode;
  Lane encode;

private:
  ~Request();

  void drop();
  bool need_scheduler();
  void commit();
  std::vector<std::function<void()>> take_posts();

  const std::thread::id worker_;
  std::atomic<int> refs_{1};
  bool resolved_ = false; // ready has been asked
  bool answered_ = false;
  mutable bool has_cluster_ = false;
  mutable std::string cluster_; // as it was last seen, guarded by the mutex
  Json cluster_metadata_;       // as answered() saw it
  bool committed_ = false; // scheduled() will be called
  bool working_ = false;   // and is at it
  void *scheduler_ = nullptr;
  std::vector<std::function<void()>> posts_;
};

} // namespace bridge
