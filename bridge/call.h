// Calls from Go about a stream: who may call, and when.
#pragma once

#include <mutex>

#include "lane.h"
#include "request.h"

namespace bridge {

// Call is one call from Go. It holds the request's mutex.
class Call {
public:
  // Of a direction: Go must be at work in it.
  static Call of_lane(void *state) {
    auto *lane = static_cast<Lane *>(static_cast<GoState *>(state));
    Call c(&lane->owner());
    c.lane = lane;
    if (c.result == Result::Ok && !lane->in_go() && !c.request->logging)
      c.result = Result::NotInGo;
    return c;
  }

  // Of a stream: Go must be at work in one of its directions.
  static Call of_request(void *request) {
    Call c(static_cast<Request *>(static_cast<GoRequest *>(request)));
    if (c.result == Result::Ok && !c.request->decode.in_go() && !c.request->encode.in_go() && !c.request->logging)
      c.result = Result::NotInGo;
    return c;
  }

  bool refused() const { return result != Result::Ok; }
  int code() const { return static_cast<int>(result); }
  bool on_worker() const { return request->on_worker(); }

  // read runs question, which reads from Envoy and returns a result: now, if this is the worker, else there, and then
  // it tells Go. Only SDK functions that know Yield may use it. later stores the result for those that want one.
  template <typename Question> int read(Question question, int *later = nullptr) {
    if (on_worker())
      return static_cast<int>(question());
    Request *r = request;
    request->post([r, question, later] {
      Result answer;
      {
        std::lock_guard<std::mutex> lock(r->mutex);
        answer = question();
      }
      if (later != nullptr)
        *later = static_cast<int>(answer);
      r->go().request_sema_dec(r);
    });
    return static_cast<int>(Result::Yield);
  }

  // write runs change on the worker: now, or before anything that Go asks the worker for from now on.
  template <typename Change> int write(Change change, bool wake = false) {
    if (on_worker())
      change();
    else
      request->post(change, wake);
    return static_cast<int>(Result::Ok);
  }

  Request *request;
  Lane *lane = nullptr;
  Result result = Result::Ok;

private:
  explicit Call(Request *r) : request(r), lock_(r->mutex) {
    if (r->gone)
      result = Result::Destroyed;
  }

  std::unique_lock<std::mutex> lock_;
};

inline View text(const void *data, int length) {
  return length > 0 ? View(static_cast<const char *>(data), static_cast<size_t>(length)) : View();
}

// give hands a value to Go, which copies it before it asks for another.
inline Result give(Request *r, View v, uint64_t *data, int *length) {
  r->value = v;
  *data = reinterpret_cast<uint64_t>(r->value.data());
  *length = static_cast<int>(r->value.size());
  return Result::Ok;
}

} // namespace bridge
