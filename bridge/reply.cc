// Ending a turn from Go: going on, adding data, and replies.
#include "call.h"
#include "log.h"

namespace bridge {
namespace {

bool is_grpc(void *envoy) {
  ebuf type{nullptr, 0};
  View grpc = "application/grpc", name = "content-type";
  if (!CB(http_get_header)(envoy, T(http_header_type_RequestHeader), out(name), &type, 0, nullptr))
    return false;
  View v = in(type);
  size_t n = grpc.size();
  return v.substr(0, n) == grpc && (v.size() == n || v[n] == '+' || v[n] == ';');
}

// grpc_status is what gRPC clients make of an HTTP status.
int grpc_status(int code) {
  switch (code) {
  case 400:
    return 13;
  case 401:
    return 16;
  case 403:
    return 7;
  case 404:
    return 12;
  case 429:
  case 502:
  case 503:
  case 504:
    return 14;
  default:
    return 2;
  }
}

std::string plugin(const Request &r) { return "plugin " + r.config->settings.plugin_name; }

} // namespace

void Request::send(const Reply &reply) {
  answered();
  replied = sent = true;
  decode.state = encode.state = Lane::Done;
  std::vector<mheader> headers;
  headers.reserve(reply.headers.size() + 1);
  bool has_status = false;
  for (const auto &h : reply.headers) {
    headers.push_back({h.first.data(), h.first.size(), h.second.data(), h.second.size()});
    has_status = has_status || h.first == "grpc-status";
  }
  std::string status;
  View name = "grpc-status";
  if (!has_status && is_grpc(envoy)) {
    status = std::to_string(reply.grpc >= 0 ? reply.grpc : grpc_status(reply.code));
    headers.push_back({name.data(), name.size(), status.data(), status.size()});
  }
  CB(http_send_response)(envoy, static_cast<uint32_t>(reply.code), headers.data(), headers.size(), out(reply.body),
                         out(reply.details));
}

void Request::reply(Lane &lane, Reply reply) {
  bool shown = !lane.encoding && encode.state == Lane::AtStart;
  replied = true;
  decode.forget();
  {
    std::lock_guard<std::mutex> lock(mutex); // calls of other threads find Go out of work, or are over
    decode.state = Lane::Done;
    if (!shown) {
      encode.state = Lane::Done;
      encode.own_headers = nullptr;
    }
  }
  if (shown) {
    encode.answer(std::move(reply));
    return;
  }
  encode.forget();
  send(reply);
}

void Request::panic(Lane &lane) {
  config->metrics->increment(config->panics, 1);
  Reply r;
  r.code = 500;
  r.body = "error happened in filter\r\n";
  reply(lane, std::move(r));
}

namespace {

// post_reply has the worker run job, unless Go has given the turn away before.
template <typename Job> int post_reply(const Call &call, Job job) {
  Lane *lane = call.lane;
  call.request->post([lane, turn = lane->turn, job = std::move(job)] {
    Request &r = lane->owner();
    if (lane->turn != turn || !lane->in_go() || (r.replied && lane->own_headers == nullptr))
      log(Level::Warn, plugin(r), " replied after the request had gone on: the reply is dropped");
    else
      job(r, *lane);
  });
  return call.code();
}

} // namespace
} // namespace bridge

using namespace bridge;

GOAPI int envoyGoFilterHttpContinue(void *s, int status) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  Lane *lane = call.lane;
  call.request->post([lane, turn = lane->turn, verdict = static_cast<Verdict>(status)] {
    if (!lane->resolve(turn, verdict))
      log(Level::Warn, plugin(lane->owner()), " continued twice, or after its reply: ignored");
  });
  return call.code();
}

GOAPI int envoyGoFilterHttpSendLocalReply(void *s, int code, void *body, int body_length, void *headers, int strings,
                                          long long grpc, void *details, int details_length) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  Reply reply;
  reply.code = code;
  reply.body = text(body, body_length);
  reply.grpc = grpc;
  reply.details = text(details, details_length);
  auto *all = static_cast<GoString *>(headers);
  for (int i = 0; i + 1 < strings; i += 2) {
    if (all[i + 1].length == 0)
      continue; // as upstream's
    std::string name(all[i].data, static_cast<size_t>(all[i].length));
    for (char &c : name)
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    reply.headers.emplace_back(std::move(name), std::string(all[i + 1].data, static_cast<size_t>(all[i + 1].length)));
  }
  if (code < 200 || code > 599) {
    log(Level::Error, plugin(*call.request), " replied with status ", std::to_string(code), ": 500 is sent instead");
    reply.code = 500;
  }
  return post_reply(call, [reply = std::move(reply)](Request &r, Lane &lane) { r.reply(lane, reply); });
}

GOAPI int envoyGoFilterHttpSendPanicReply(void *s, void *details, int length) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  log(Level::Error, plugin(*call.request), " panicked: ", text(details, length));
  return post_reply(call, [](Request &r, Lane &lane) { r.panic(lane); });
}

GOAPI int envoyGoFilterHttpAddData(void *s, void *data, int length, bool streaming) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  Request &r = *call.request;
  if (call.lane->state == Lane::Data || r.logging) {
    log(Level::Error, plugin(r), " called AddData in a data phase: it must use the buffer's Append");
    return static_cast<int>(Result::BadPhase);
  }
  if (!streaming)
    log(r.config->limits.add_data.level(), plugin(r), ": AddData always streams: no buffer limit ends the request");
  call.lane->add(std::string(text(data, length)));
  return call.code();
}

GOAPI int envoyGoFilterHttpInjectData(void *s, void *data, int length) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  if (call.lane->state != Lane::Data) {
    log(Level::Error, plugin(*call.request), " called InjectData outside of a data phase: it must use AddData");
    return static_cast<int>(Result::BadPhase);
  }
  if (call.on_worker()) {
    log(Level::Error, plugin(*call.request), " called InjectData without a goroutine");
    return static_cast<int>(Result::BadScene);
  }
  Lane *lane = call.lane;
  call.request->post([lane, turn = lane->turn, bytes = std::string(text(data, length))] {
    if (lane->turn == turn && lane->in_go())
      lane->inject(bytes);
  });
  return call.code();
}
