// Turns: giving Go one thing at a time, and what its verdicts mean while one of Envoy's hooks waits for an answer.
#include "lane.h"

#include "headers.h"
#include "request.h"

namespace bridge {

Lane::Lane(Request *owner, int dir) : owner_(owner) {
  request = owner;
  encoding = dir;
  state = AtStart;
}

// tell counts the headers (kind 0) or trailers (1) that Go is about to hear of.
void Lane::tell(int kind, int type) { count_headers(*this, kind, type, &told.count[kind], &told.bytes[kind]); }

Verdict Lane::headers_turn(bool end) {
  headers_open = true;
  if (!encoding && owner_->route_open())
    owner_->look_for_cluster();
  tell(0, headers_type());
  owner_->enter(this, Headers, end);
  auto v = static_cast<Verdict>(owner_->go().on_header(this, end, told.count[0], told.bytes[0]));
  owner_->leave(this, v == Verdict::Running);
  return v;
}

Verdict Lane::data_turn(Chunk *chunk, uint64_t length, bool end) {
  owner_->enter(this, Data, end);
  auto v = static_cast<Verdict>(owner_->go().on_data(this, end, reinterpret_cast<uint64_t>(chunk), length));
  owner_->leave(this, v == Verdict::Running);
  return v;
}

Verdict Lane::trailers_turn() {
  tell(1, headers_type() + 1);
  owner_->enter(this, Trailers, true);
  auto v = static_cast<Verdict>(owner_->go().on_header(this, 1, told.count[1], told.bytes[1]));
  owner_->leave(this, v == Verdict::Running);
  return v;
}

// fail answers for a plugin whose verdict makes no sense: the stream could never go on.
void Lane::fail(const char *what) {
  log(Level::Error, "plugin ", owner_->config->settings.plugin_name, ": ", what);
  uint32_t now = turn;
  std::lock_guard<std::mutex> lock(owner_->mutex);
  owner_->post([this, now] {
    if (turn == now && !owner_->replied)
      owner_->panic(*this);
  });
}

// release lets go what Go has in its hands.
void Lane::release() {
  for (auto &c : chunks_)
    ready_ += c->data;
  chunks_.clear();
  headers_due_ = true;
}

// settle takes Go's verdict on the present turn. It returns whether what Go had goes on. Where Go keeps the turn, now
// or for good, the state stays.
bool Lane::settle(Verdict verdict) {
  std::lock_guard<std::mutex> lock(owner_->mutex);
  int was = state;
  switch (verdict) {
  case Verdict::Running:
  case Verdict::LocalReply:
    return false;
  case Verdict::Continue:
    state = turn_end ? Done : WaitData;
    release();
    return true;
  case Verdict::StopAndBuffer:
  case Verdict::StopAndBufferWatermark:
    if (was == Trailers || turn_end)
      break;
    state = verdict == Verdict::StopAndBuffer ? WaitAll : WaitData;
    return false;
  case Verdict::StopNoBuffer:
    if (was != Data || turn_end)
      break;
    chunks_.pop_back();
    state = WaitData;
    return false;
  }
  return false; // refused() has a word to say
}

// refused reports a verdict that settle could not follow.
bool Lane::refused(Verdict verdict) {
  if (verdict <= Verdict::LocalReply || !in_go())
    return false;
  fail(turn_end ? "it wants more of what has ended" : "it returned a status that this phase does not have");
  return true;
}

bool Lane::dropped() const { return given_up_ || (owner_->replied && own_headers == nullptr); }

uint32_t Lane::stop(uint32_t status) {
  stopped_ = true;
  return status;
}

// hold leaves the hook's data in Envoy's buffer, whose limits then count: over them Envoy reads no more from the peer,
// or with STOP_BUFFER gives up.
uint32_t Lane::hold(uint32_t status) {
  if (!holding_) {
    auto is_buffer = encoding ? CB(http_received_buffered_response_body) : CB(http_received_buffered_request_body);
    foreign_ = is_buffer(owner_->envoy) ? 0 : size(buffered());
    holding_ = true;
  }
  return stop(status);
}

uint32_t Lane::on_headers(bool end) {
  if (owner_->replied)
    return owner_->sent ? CONTINUE : STOP;
  if (state != AtStart)
    return in_go() ? STOP : CONTINUE;
  end_seen_ = end;
  Verdict v = headers_turn(end);
  if (settle(v)) {
    if (!ready_.empty()) { // data that the plugin has added
      append(buffered(), ready_);
      ready_.clear();
    }
    headers_open = headers_due_ = false;
    return CONTINUE;
  }
  refused(v);
  headers_wait_ = true;
  return stop(STOP);
}

// over_limit reports whether the whole body is more than Envoy may buffer.
bool Lane::over_limit() {
  uint64_t limit = CB(http_get_buffer_limit)(owner_->envoy);
  return limit > 0 && ours() > 0 && size(buffered()) + size(received()) > limit;
}

// live_turn shows Go the hook's own data, which stays where it is if Go lets it go on at once.
uint32_t Lane::live_turn(bool end) {
  chunks_.push_back(std::make_unique<Chunk>());
  Chunk *chunk = chunks_.back().get();
  chunk->live = true;
  Verdict v = data_turn(chunk, size(received()), end);
  // Envoy would send all that is in its buffer when it goes on after a stop, so that other filters' data passed twice.
  if (v == Verdict::Continue && !(stopped_ && foreign())) {
    {
      std::lock_guard<std::mutex> lock(owner_->mutex);
      chunk->live = false; // empty: the data is Envoy's
    }
    settle(v);
    if (!ready_.empty()) {
      ready_ += take(received());
      append(received(), ready_);
      ready_.clear();
    }
    headers_open = headers_open && !headers_wait_;
    stopped_ = headers_wait_ = headers_due_ = false;
    return CONTINUE;
  }
  {
    std::lock_guard<std::mutex> lock(owner_->mutex);
    if (Chunk *still = find(reinterpret_cast<uint64_t>(chunk))) {
      still->data = take(received());
      still->live = false;
    }
  }
  if (settle(v))
    owner_->wake();
  else
    refused(v);
  return stop(STOP_NO_BUFFER);
}

uint32_t Lane::on_data(bool end) {
  owner_->bytes[encoding] += size(received());
  end_seen_ = end_seen_ || end;
  if (owner_->replied)
    return owner_->sent && encoding ? CONTINUE : STOP_NO_BUFFER;
  switch (state) {
  case Headers:
  case Data:
    return hold(STOP_WATERMARK);
  case WaitAll:
    if (!end)
      return hold(STOP_BUFFER);
    if (over_limit()) {
      given_up_ = true; // Envoy answers
      return stop(STOP_BUFFER);
    }
    if (ours() == 0 && waiting_.empty())
      return live_turn(end);
    waiting_ += take_ours();
    waiting_ += take(received());
    owner_->wake();
    return stop(STOP_NO_BUFFER);
  case WaitData:
    return live_turn(end);
  default:
    return CONTINUE;
  }
}

uint32_t Lane::on_trailers() {
  trailers_seen = true;
  if (owner_->replied)
    return owner_->sent && encoding ? CONTINUE : STOP;
  if (state == Done)
    return CONTINUE;
  if (state == WaitAll) {
    owner_->wake();
  } else if (state == WaitData) {
    Verdict v = trailers_turn();
    if (settle(v)) {
      bool in_place = stopped_ ? !foreign() : ready_.empty() || no_buffer();
      if (in_place) {
        if (!ready_.empty())
          append(buffered(), ready_);
        ready_.clear();
        headers_open = stopped_ = headers_wait_ = headers_due_ = false;
        return CONTINUE;
      }
      owner_->wake();
    } else {
      refused(v);
    }
  }
  return stop(STOP);
}

} // namespace bridge
