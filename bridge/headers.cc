#include "headers.h"

#include <algorithm>
#include <cstring>

#include "call.h"
#include "log.h"

namespace bridge {
namespace {

constexpr size_t usual = 64;

// each calls f with every header of Envoy's.
template <typename F> void each(void *envoy, int type, F f) {
  auto of = static_cast<T(http_header_type)>(type);
  size_t n = CB(http_get_headers_size)(envoy, of);
  eheader few[usual];
  std::vector<eheader> many(n > usual ? n : 0);
  eheader *all = n > usual ? many.data() : few;
  if (n == 0 || !CB(http_get_headers)(envoy, of, all))
    return;
  for (size_t i = 0; i < n; i++)
    f(View(all[i].key_ptr, all[i].key_length), View(all[i].value_ptr, all[i].value_length));
}

// each does so with pairs, or if they are nullptr with Envoy's.
template <typename F> void each(const Pairs *pairs, void *envoy, int type, F f) {
  if (pairs == nullptr)
    return each(envoy, type, f);
  for (const auto &p : *pairs)
    f(View(p.first), View(p.second));
}

enum { HEADERS = 0, TRAILERS = 1 };
enum Change { Set = 0, Add = 1, Remove = 2 };

std::string lower(View s) {
  std::string to(s);
  for (char &c : to)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return to;
}

// readable returns false if the call may not read. *from is what it reads then; nullptr: Envoy's.
bool readable(const Call &call, int kind, const Pairs **from) {
  Lane &lane = *call.lane;
  *from = nullptr;
  if (!call.request->logging && !(kind == HEADERS ? lane.headers_open : lane.trailers_seen))
    return false;
  if (kind == HEADERS && lane.own_headers != nullptr)
    *from = lane.own_headers.get();
  else if (!call.request->direct())
    *from = (kind == HEADERS ? lane.seen_headers : lane.seen_trailers).get();
  return *from != nullptr || call.request->direct();
}

void change_pairs(Pairs *pairs, const std::string &key, View value, Change change) {
  if (change != Add)
    for (size_t i = pairs->size(); i-- > 0;)
      if ((*pairs)[i].first == key)
        pairs->erase(pairs->begin() + static_cast<ptrdiff_t>(i));
  if (change != Remove)
    pairs->emplace_back(key, value);
}

void change_envoy(Lane &lane, int kind, View key, View value, Change change) {
  Request &r = lane.owner();
  auto type = static_cast<T(http_header_type)>(lane.headers_type() + kind);
  if (change != Remove && value.empty())
    log(r.config->limits.empty_header.level(), "plugin ", r.config->settings.plugin_name, ": header ", key,
        " with an empty value is ", change == Set ? "removed" : "not added",
        " instead: dynamic modules cannot store one");
  if (change == Add)
    CB(http_add_header)(r.envoy, type, out(key), out(value));
  else
    CB(http_set_header)(r.envoy, type, out(key), change == Set ? out(value) : mbuf{nullptr, 0});
}

int change(void *state, int kind, View key, View value, Change how) {
  Call call = Call::of_lane(state);
  if (call.refused())
    return call.code();
  Lane *lane = call.lane;
  const Pairs *from;
  if (!readable(call, kind, &from))
    return static_cast<int>(Result::BadPhase);
  if (kind == HEADERS && lane->own_headers != nullptr) {
    change_pairs(lane->own_headers.get(), lower(key), value, how);
    return call.code();
  }
  if (call.on_worker()) {
    change_envoy(*lane, kind, key, value, how);
    return call.code();
  }
  auto &seen = kind == HEADERS ? lane->seen_headers : lane->seen_trailers;
  if (seen != nullptr)
    change_pairs(seen.get(), lower(key), value, how);
  call.request->post(
      [lane, kind, how, key = std::string(key), value = std::string(value)] {
        if (!lane->owner().replied)
          change_envoy(*lane, kind, key, value, how);
      },
      false);
  return call.code();
}

// told_to returns what the caller knows of lane's headers or trailers. While the worker is in the log phase, a
// caller from elsewhere may be of that phase or of one before: then it is what both have.
Told told_to(const Call &call, int kind) {
  const Lane &lane = *call.lane;
  if (!call.request->in_log)
    return lane.told;
  Told told = lane.logged;
  if (!call.on_worker() && lane.in_go()) {
    told.count[kind] = std::min(told.count[kind], lane.told.count[kind]);
    told.bytes[kind] = std::min(told.bytes[kind], lane.told.bytes[kind]);
  }
  return told;
}

int copy(void *state, int kind, void *strings, void *bytes) {
  Call call = Call::of_lane(state);
  if (call.refused())
    return call.code();
  Lane &lane = *call.lane;
  const Pairs *from;
  if (!readable(call, kind, &from))
    return static_cast<int>(Result::BadPhase);
  const Told told = told_to(call, kind);
  auto *to = static_cast<GoString *>(strings);
  auto *room = static_cast<char *>(bytes);
  uint64_t count = told.count[kind], left = told.bytes[kind];
  if (told.no_room && count > 0) {
    // The plugin may keep these strings for ever, and so does this memory: once for a plugin, as Go makes room from now
    // on.
    left = 0;
    each(from, call.request->envoy, lane.headers_type() + kind,
         [&](View key, View value) { left += key.size() + value.size(); });
    room = new char[left];
    call.request->config->reads_in_log->store(true, std::memory_order_relaxed);
  }
  auto put = [&](View s) { // an empty string points nowhere: behind the last byte is other memory of Go's
    *to++ = {s.empty() ? nullptr : room, static_cast<ptrdiff_t>(s.size())};
    std::memcpy(room, s.data(), s.size());
    room += s.size();
  };
  each(from, call.request->envoy, lane.headers_type() + kind, [&](View key, View value) {
    if (count == 0 || key.size() + value.size() > left)
      return; // set since Go made room
    count--;
    left -= key.size() + value.size();
    put(key);
    put(value);
  });
  for (; count > 0; count--) { // removed since
    put({});
    put({});
  }
  return call.code();
}

} // namespace

void count_headers(const Lane &lane, int kind, int type, uint64_t *count, uint64_t *bytes) {
  const Pairs *own = kind == HEADERS ? lane.own_headers.get() : nullptr;
  void *envoy = lane.owner().envoy;
  if (bytes == nullptr) {
    *count = own != nullptr ? own->size() : CB(http_get_headers_size)(envoy, static_cast<T(http_header_type)>(type));
    return;
  }
  *count = *bytes = 0;
  each(own, envoy, type, [&](View key, View value) {
    ++*count;
    *bytes += key.size() + value.size();
  });
}

void keep_headers(Lane &lane) {
  auto keep = [&](std::unique_ptr<Pairs> *to, int kind) {
    *to = std::make_unique<Pairs>();
    each(lane.owner().envoy, lane.headers_type() + kind,
         [&](View key, View value) { (*to)->emplace_back(key, value); });
  };
  if (lane.headers_open && lane.own_headers == nullptr)
    keep(&lane.seen_headers, HEADERS);
  if (lane.trailers_seen)
    keep(&lane.seen_trailers, TRAILERS);
}

} // namespace bridge

using namespace bridge;

GOAPI int envoyGoFilterHttpGetHeader(void *s, void *key, int key_length, uint64_t *data, int *length) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  const Pairs *from;
  int kind = call.lane->state == Lane::Trailers ? TRAILERS : HEADERS;
  if (!readable(call, kind, &from))
    return static_cast<int>(Result::BadPhase);
  std::string name = lower(text(key, key_length));
  ebuf found{nullptr, 0};
  if (from == nullptr)
    CB(http_get_header)(call.request->envoy, static_cast<T(http_header_type)>(call.lane->headers_type() + kind),
                        out(name), &found, 0, nullptr);
  else
    for (const auto &p : *from)
      if (found.ptr == nullptr && p.first == name)
        found = {p.second.data(), p.second.size()};
  if (found.ptr != nullptr) { // Go does not copy it: it holds until the header changes or goes on
    *data = reinterpret_cast<uint64_t>(found.ptr);
    *length = static_cast<int>(found.length);
  }
  return call.code();
}

GOAPI int envoyGoFilterHttpCopyHeaders(void *s, void *strings, void *bytes) { return copy(s, HEADERS, strings, bytes); }

GOAPI int envoyGoFilterHttpSetHeaderHelper(void *s, void *key, int key_length, void *value, int length, int action) {
  return change(s, HEADERS, text(key, key_length), text(value, length), action == Add ? Add : Set);
}

GOAPI int envoyGoFilterHttpRemoveHeader(void *s, void *key, int key_length) {
  return change(s, HEADERS, text(key, key_length), {}, Remove);
}

GOAPI int envoyGoFilterHttpCopyTrailers(void *s, void *strings, void *bytes) {
  return copy(s, TRAILERS, strings, bytes);
}

GOAPI int envoyGoFilterHttpSetTrailer(void *s, void *key, int key_length, void *value, int length, int action) {
  return change(s, TRAILERS, text(key, key_length), text(value, length), action == Add ? Add : Set);
}

GOAPI int envoyGoFilterHttpRemoveTrailer(void *s, void *key, int key_length) {
  return change(s, TRAILERS, text(key, key_length), {}, Remove);
}
