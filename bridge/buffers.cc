// Bodies: Envoy's buffers, and the chunks of them that Go has in its hands.
#include <cstring>

#include "call.h"

namespace bridge {
namespace {

auto body(int type) { return static_cast<T(http_body_type)>(type); }

// each calls f with every slice of one of Envoy's buffers.
template <typename F> void each(void *envoy, int type, F f) {
  size_t n = CB(http_get_body_chunks_size)(envoy, body(type));
  ebuf few[16];
  std::vector<ebuf> many(n > 16 ? n : 0);
  ebuf *all = n > 16 ? many.data() : few;
  if (n == 0 || !CB(http_get_body_chunks)(envoy, body(type), all))
    return;
  for (size_t i = 0; i < n; i++)
    f(in(all[i]));
}

} // namespace

size_t Lane::size(int type) const { return CB(http_get_body_size)(owner_->envoy, body(type)); }

std::string Lane::copy(int type) const {
  std::string s;
  if (size_t n = size(type)) {
    s.reserve(n);
    each(owner_->envoy, type, [&](View slice) { s.append(slice); });
  }
  return s;
}

std::string Lane::take(int type) {
  std::string s = copy(type);
  if (!s.empty())
    CB(http_drain_body)(owner_->envoy, body(type), s.size());
  return s;
}

void Lane::append(int type, View data) { CB(http_append_body)(owner_->envoy, body(type), out(data)); }

// ours is how much of Envoy's buffer waits for us.
size_t Lane::ours() const {
  if (!holding_)
    return 0;
  size_t all = size(buffered());
  return all > foreign_ ? all - foreign_ : 0;
}

std::string Lane::take_ours() {
  if (!holding_)
    return {};
  holding_ = false;
  std::string all = take(buffered());
  if (foreign_ == 0 || all.empty())
    return all;
  append(buffered(), View(all).substr(0, foreign_));
  return all.size() > foreign_ ? all.substr(foreign_) : std::string();
}

// foreign reports whether Envoy's buffer has bytes that are not the data of the hook under way.
bool Lane::foreign() const {
  if (size(buffered()) == 0)
    return false;
  auto is_buffer = encoding ? CB(http_received_buffered_response_body) : CB(http_received_buffered_request_body);
  return !is_buffer(owner_->envoy);
}

// no_buffer reports whether Envoy has no buffer, not even an empty one. What is appended in the trailers hook of a
// direction that has not stopped reaches the next filter only then.
bool Lane::no_buffer() const {
  ebuf none[1];
  return CB(http_get_body_chunks_size)(owner_->envoy, body(buffered())) == 0 &&
         !CB(http_get_body_chunks)(owner_->envoy, body(buffered()), none);
}

Chunk *Lane::find(uint64_t name) const {
  for (const auto &c : chunks_)
    if (reinterpret_cast<uint64_t>(c.get()) == name)
      return c.get();
  return nullptr;
}

} // namespace bridge

using namespace bridge;

namespace {

// on_chunk runs of_data on a chunk in memory, or of_envoy on Envoy's buffer that a live one is.
template <typename OfData, typename OfEnvoy>
int on_chunk(void *s, uint64_t name, OfData of_data, OfEnvoy of_envoy) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  Chunk *chunk = call.lane->find(name);
  if (chunk == nullptr)
    return static_cast<int>(Result::BadPhase);
  if (chunk->live)
    of_envoy(call.request->envoy, 2 * call.lane->encoding);
  else
    of_data(chunk->data);
  return call.code();
}

enum Action { Set = 0, Append = 1, Prepend = 2 };

} // namespace

GOAPI int envoyGoFilterHttpGetBuffer(void *s, uint64_t name, void *to) {
  auto *at = static_cast<char *>(to);
  return on_chunk(
      s, name, [&](const std::string &data) { std::memcpy(at, data.data(), data.size()); },
      [&](void *envoy, int type) {
        each(envoy, type, [&](View slice) {
          std::memcpy(at, slice.data(), slice.size());
          at += slice.size();
        });
      });
}

GOAPI int envoyGoFilterHttpDrainBuffer(void *s, uint64_t name, uint64_t length) {
  return on_chunk(
      s, name, [&](std::string &data) { data.erase(0, length); },
      [&](void *envoy, int type) { CB(http_drain_body)(envoy, body(type), length); });
}

GOAPI int envoyGoFilterHttpSetBufferHelper(void *s, uint64_t name, void *data, int length, int action) {
  View v = text(data, length);
  return on_chunk(
      s, name,
      [&](std::string &to) {
        if (action == Set)
          to = v;
        else
          to.insert(action == Prepend ? 0 : to.size(), v.data() == nullptr ? "" : v.data(), v.size());
      },
      [&](void *envoy, int type) {
        std::string rest;
        if (action == Prepend)
          each(envoy, type, [&](View slice) { rest.append(slice); });
        if (action != Append)
          CB(http_drain_body)(envoy, body(type), SIZE_MAX);
        CB(http_append_body)(envoy, body(type), out(v));
        if (!rest.empty())
          CB(http_append_body)(envoy, body(type), out(rest));
      });
}
