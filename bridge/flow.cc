// What happens to a direction outside of Envoy's hooks: feeding Go what has come in meanwhile, sending on what it let
// go, and showing it a reply of its own.
#include "headers.h"
#include "lane.h"
#include "request.h"

namespace bridge {
namespace {

// Envoy goes on once for each time that a hook has stopped it. What Go lets go in between waits for the next hook, or
// the end. This much is worth going on for earlier, though what comes next may have to wait then.
constexpr size_t enough = 64 << 10;

} // namespace

void Lane::advance() {
  while (!owner_->gone && !dropped()) {
    if ((state != WaitData && state != WaitAll) || turn_end)
      break;
    if (stopped_ && !ended() && ready_.size() >= enough) {
      resume();
      continue;
    }
    size_t input = waiting_.size() + ours();
    Verdict v;
    if (state == WaitData ? input > 0 || end_seen_ : end_seen_ || (trailers_seen && input > 0)) {
      chunks_.push_back(std::make_unique<Chunk>());
      Chunk *chunk = chunks_.back().get();
      chunk->data = std::move(waiting_);
      waiting_.clear();
      chunk->data += take_ours();
      v = data_turn(chunk, chunk->data.size(), end_seen_);
    } else if (trailers_seen) {
      v = trailers_turn();
    } else {
      break;
    }
    if (!settle(v) && refused(v))
      break;
  }
  if (!owner_->gone && !dropped())
    flush();
}

bool Lane::resolve(uint32_t of, Verdict verdict) {
  if (of != turn || !in_go() || owner_->replied != (own_headers != nullptr))
    return false;
  if (!settle(verdict))
    refused(verdict);
  return true;
}

void Lane::flush() {
  if (own_headers != nullptr) {
    if (state == Done)
      send_answer();
    return;
  }
  if (!stopped_ || in_go())
    return;
  if (ended() ? state == Done : (headers_wait_ && headers_due_) || !ready_.empty())
    resume();
}

// resume sends on what is ready and continues. All filters of a stream share one buffer a direction: bytes in it that
// are not ours have gone on already (a router keeps a request there for retries), and Envoy would send them again. They
// are taken out before and put back after, in front of what came in meanwhile.
void Lane::resume() {
  if (!ended())
    waiting_ += take_ours();
  holding_ = false;
  std::string others = take(buffered());
  if (!ready_.empty() || (end_seen_ && !headers_wait_))
    append(buffered(), ready_);
  ready_.clear();
  headers_open = stopped_ = headers_wait_ = headers_due_ = false;
  if (encoding)
    CB(http_filter_continue_encoding)(owner_->envoy);
  else
    CB(http_filter_continue_decoding)(owner_->envoy);
  if (owner_->gone || others.empty())
    return;
  std::string since = take(buffered());
  append(buffered(), others);
  if (!since.empty())
    append(buffered(), since);
}

void Lane::add(std::string data) {
  chunks_.push_back(std::make_unique<Chunk>());
  chunks_.back()->data = std::move(data);
}

void Lane::inject(std::string data) {
  ready_ += data;
  headers_due_ = true;
  if (stopped_ && !ended() && own_headers == nullptr && ready_.size() >= enough)
    resume();
}

void Lane::forget() {
  std::lock_guard<std::mutex> lock(owner_->mutex);
  chunks_.clear();
  waiting_.clear();
  ready_.clear();
}

// answer: Envoy does not show modules the responses that they send themselves, and contrib's filter does see its own.
void Lane::answer(Reply reply) {
  own_headers = std::make_unique<Pairs>();
  own_headers->emplace_back(":status", std::to_string(reply.code));
  bool typed = false;
  for (auto &h : reply.headers) {
    typed = typed || h.first == "content-type";
    own_headers->push_back(h);
  }
  if (!reply.body.empty()) {
    own_headers->emplace_back("content-length", std::to_string(reply.body.size()));
    if (!typed)
      own_headers->emplace_back("content-type", "text/plain");
  }
  waiting_ = std::move(reply.body);
  reply_ = std::move(reply);
  end_seen_ = true;
  Verdict v = headers_turn(waiting_.empty());
  if (!settle(v))
    refused(v);
  advance();
}

void Lane::send_answer() {
  reply_.headers.clear();
  for (auto &h : *own_headers) {
    if (h.first == ":status") {
      int code = std::atoi(h.second.c_str());
      reply_.code = code >= 200 && code < 600 ? code : 500;
    } else if (h.first != "content-length") { // Envoy counts anew
      reply_.headers.push_back(std::move(h));
    }
  }
  reply_.body = std::move(ready_);
  {
    std::lock_guard<std::mutex> lock(owner_->mutex);
    own_headers = nullptr;
    headers_open = false;
  }
  owner_->send(reply_);
}

} // namespace bridge

// Envoy continues a direction once for each hook that has stopped it, and has no other way for a module to send on data.
GOAPI uint64_t golang_bridge_limits(void) { return GOLANG_LIMIT_BODY_WAITS; }
