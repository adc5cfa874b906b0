// One direction of a stream: what Go has in its hands, what waits for it, what may go on.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "envoy.h"
#include "golang.h"

namespace bridge {

class Request;

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Reply is a response of a plugin's own.
struct Reply {
  int code = 0;
  std::string body;
  Pairs headers;
  int64_t grpc = -1; // negative: by the code
  std::string details;
};

// Chunk is a piece of a body in Go's hands. Its address is its name there. A live one is still in Envoy: it is the body
// of the data hook under way.
struct Chunk {
  std::string data;
  bool live = false;
};

// Told is what Go knows of a direction's headers (0) and trailers (1): how many, and for how many bytes it makes
// room before it copies them.
struct Told {
  uint64_t count[2] = {0, 0};
  uint64_t bytes[2] = {0, 0};
  bool no_room = false; // nobody has counted the bytes
};

// What hooks return to Envoy. For headers and trailers, Stop only.
enum HookStatus : uint32_t { CONTINUE = 0, STOP = 1, STOP_BUFFER = 1, STOP_WATERMARK = 2, STOP_NO_BUFFER = 3 };

// Lane is the memory that Go knows as its processState. Methods are for the worker.
class Lane : public GoState {
public:
  // States; Go reads those in which it is at work.
  enum State { AtStart = 0, Headers = 1, WaitData = 2, WaitAll = 3, Data = 4, Trailers = 6, Done = 7 };

  Lane(Request *owner, int encoding);

  Request &owner() const { return *owner_; }
  bool in_go() const { return state == Headers || state == Data || state == Trailers; }
  int headers_type() const { return 2 * encoding; }

  // Envoy's events; each returns what Envoy shall do.
  uint32_t on_headers(bool end);
  uint32_t on_data(bool end);
  uint32_t on_trailers();

  // advance, outside of hooks, gives Go what waits for it and sends on what may go.
  void advance();

  // resolve takes the verdict that Go gave later on a turn; false if that turn is over.
  bool resolve(uint32_t turn, Verdict verdict);

  // answer runs the response phases on a reply of the plugin's, and then sends it.
  void answer(Reply reply);

  // add puts data behind what Go has in its hands; the caller holds the request's mutex. inject, from a job, puts it
  // before that.
  void add(std::string data);
  void inject(std::string data);

  // forget drops the bodies held.
  void forget();

  // find returns the chunk of that name, or nullptr. The caller holds the request's mutex.
  Chunk *find(uint64_t name) const;

  // Headers that Go may use now: Envoy's own, or own if that is not nullptr.
  bool headers_open = false;
  bool trailers_seen = false;
  std::unique_ptr<Pairs> own_headers;  // of a reply before it is sent
  std::unique_ptr<Pairs> seen_headers; // copies for other threads
  std::unique_ptr<Pairs> seen_trailers;
  Told told;                       // in the phases
  Told logged;                     // in the log phase under way
  uint32_t turn = 0;               // counts the times that Go got something
  bool turn_end = false;           // the end was with it

private:
  Verdict headers_turn(bool end);
  Verdict data_turn(Chunk *chunk, uint64_t length, bool end);
  Verdict trailers_turn();
  void tell(int kind, int type);
  bool settle(Verdict verdict);
  bool refused(Verdict verdict);
  void fail(const char *what);

  uint32_t live_turn(bool end);
  uint32_t hold(uint32_t status);
  uint32_t stop(uint32_t status);
  bool over_limit();
  bool ended() const { return end_seen_ || trailers_seen; }
  bool dropped() const;
  void release();
  void flush();
  void resume();
  void send_answer();

  // Envoy's buffers.
  int received() const { return 2 * encoding; }
  int buffered() const { return 2 * encoding + 1; }
  size_t size(int type) const;
  std::string copy(int type) const;
  std::string take(int type);
  void append(int type, View data);
  size_t ours() const;
  std::string take_ours();
  bool foreign() const;
  bool no_buffer() const;

  Request *const owner_;
  bool end_seen_ = false;
  bool headers_wait_ = false; // Envoy stopped at the headers
  bool headers_due_ = false;  // and Go has let them go
  bool stopped_ = false;      // a hook has stopped Envoy since it last went on
  bool given_up_ = false;     // Envoy answers in its stead: the body was too large
  bool holding_ = false;      // Envoy's buffer has data for us, behind
  size_t foreign_ = 0;        // so many bytes of other filters
  std::vector<std::unique_ptr<Chunk>> chunks_; // in Go's hands
  std::string waiting_; // not yet shown to Go, before what Envoy holds for us
  std::string ready_;   // let go, not yet sent on
  Reply reply_;         // being answered
};

} // namespace bridge
