// What Go asks of a stream by number or by name: upstream's StreamInfo, properties and secrets.
#include <condition_variable>
#include <memory>

#include "attributes.h"
#include "call.h"
#include "log.h"
#include "property.h"

namespace bridge {
namespace {

// Numbers of upstream's values, and Envoy's attributes for them; -1: modules cannot have it.
struct Value {
  int id;
  int attribute;
};

const Value texts[] = {
    {1, RouteName},     {2, FilterChainName},      {7, DestinationAddress}, {8, SourceAddress},
    {9, UpstreamLocalAddress}, {10, UpstreamAddress}, {106, Sha256Peer},
    {107, -1},          {108, SubjectPeer},        {109, -1},               {110, SubjectLocal},
    {111, TlsVersion},  {112, -1},                 {113, -1},               {114, -1},
    {115, -1},          {116, UriSanPeer},         {117, UriSanLocal},      {118, DnsSanPeer},
    {119, DnsSanLocal},
};

enum {
  Protocol = 3,
  Code = 4,
  CodeDetails = 5,
  Attempts = 6,
  Cluster = 11,
  VirtualCluster = 12,
  Tls = 100,
  CertificateShown = 101,
};

bool text_value(Request *r, int id, std::string *value) {
  switch (id) {
  case CodeDetails:
    return code_details(*r, value);
  case Cluster:
    return r->cluster(value);
  case VirtualCluster:
    if (virtual_cluster(*r, value))
      return true;
  }
  for (const Value &v : texts)
    if (v.id == id && v.attribute >= 0)
      return text_attribute(*r, v.attribute, value);
  log(r->config->limits.stream_value.level(), "plugin ", r->config->settings.plugin_name, " asks for value ",
      std::to_string(id), " of a stream, which Envoy does not offer to modules");
  return false;
}

bool number_value(Request *r, int id, uint64_t *value) {
  std::string text;
  bool truth;
  switch (id) {
  case Protocol:
    if (!text_attribute(*r, RequestProtocol, &text))
      return false;
    *value = text == "HTTP/1.0" ? 0 : text == "HTTP/1.1" ? 1 : text == "HTTP/2" ? 2 : 3;
    return true;
  case Code:
    return number_attribute(*r, ResponseCode, value);
  case Attempts:
    return number_attribute(*r, AttemptCount, value);
  case Tls:
    *value = text_attribute(*r, TlsVersion, &text) && !text.empty();
    return true;
  case CertificateShown:
    if (!truth_attribute(*r, ConnectionMtls, &truth))
      return false;
    *value = truth;
    return true;
  }
  log(r->config->limits.stream_value.level(), "plugin ", r->config->settings.plugin_name, " asks for value ",
      std::to_string(id), " of a stream, which Envoy does not offer to modules");
  return false;
}

// Wait is a caller that waits for the worker: upstream's SDK has no later answer for some questions.
struct Wait {
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
  Result result = Result::Destroyed;
};

// Waker ends the wait when the job has run, and when it never will.
struct Waker {
  std::shared_ptr<Wait> wait;

  explicit Waker(std::shared_ptr<Wait> w) : wait(std::move(w)) {}
  ~Waker() {
    std::lock_guard<std::mutex> lock(wait->mutex);
    wait->over = true;
    wait->changed.notify_all();
  }
};

// ask runs question, which reads Envoy's side: now, or on the worker while the caller waits.
template <typename Question> int ask(void *r, Question question) {
  auto wait = std::make_shared<Wait>();
  {
    Call call = Call::of_request(r);
    if (call.refused())
      return call.code();
    Request *request = call.request;
    if (request->direct())
      return static_cast<int>(question(request));
    request->post([request, question, waker = std::make_shared<Waker>(wait)] {
      std::lock_guard<std::mutex> lock(request->mutex);
      waker->wait->result = question(request);
    });
  }
  std::unique_lock<std::mutex> lock(wait->mutex);
  wait->changed.wait(lock, [&] { return wait->over; });
  return static_cast<int>(wait->result);
}

} // namespace
} // namespace bridge

using namespace bridge;

GOAPI int envoyGoFilterHttpGetStringValue(void *r, int id, uint64_t *data, int *length) {
  return ask(r, [=](Request *request) {
    std::string v;
    return text_value(request, id, &v) ? give(request, v, data, length) : Result::NotFound;
  });
}

GOAPI int envoyGoFilterHttpGetIntegerValue(void *r, int id, uint64_t *value) {
  return ask(r, [=](Request *request) { return number_value(request, id, value) ? Result::Ok : Result::NotFound; });
}

GOAPI int envoyGoFilterHttpGetStringProperty(void *r, void *key, int key_length, uint64_t *data, int *length,
                                             int *later) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  return call.read(
      [=, path = std::string(text(key, key_length))] {
        std::string v;
        switch (property(*request, path, &v)) {
        case Lookup::Found:
          return give(request, v, data, length);
        case Lookup::NotText:
          return Result::CannotSerialize;
        default:
          log(request->config->limits.property.level(), "plugin ", request->config->settings.plugin_name,
              ": property ", path, " has no value, or Envoy does not offer it to modules");
          return Result::NotFound;
        }
      },
      later);
}

GOAPI int envoyGoFilterHttpGetStringSecret(void *r, void *name, int name_length, uint64_t *data, int *length) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  return call.read([=, of = std::string(text(name, name_length))] {
    std::string v;
    if (request->config->secrets.get(request->envoy, of, &v))
      return give(request, v, data, length);
    *length = -1;
    return Result::Ok;
  });
}
