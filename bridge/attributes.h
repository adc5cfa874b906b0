// Envoy's attributes, by the names that CEL expressions use.
#pragma once

#include <string>

#include "envoy.h"

namespace bridge {

class Request;

// Ids of the ABI's attributes that values are made of.
enum Attribute {
  RequestProtocol = 10,
  ResponseCode = 15,
  ResponseCodeDetails = 16,
  SourceAddress = 24,
  DestinationAddress = 26,
  ConnectionMtls = 29,
  TlsVersion = 31,
  SubjectLocal = 32,
  SubjectPeer = 33,
  DnsSanLocal = 34,
  DnsSanPeer = 35,
  UriSanLocal = 36,
  UriSanPeer = 37,
  Sha256Peer = 38,
  UpstreamAddress = 41,
  UpstreamLocalAddress = 51,
  AttemptCount = 53,
  RouteName = 61,
  VirtualHostName = 63,
  FilterChainName = 66,
  VirtualClusterName = 69,
};

// NotText: it is a map, a list or a null, which contrib's filter does not make a text of, or a message that modules cannot
// read in full.
enum class Lookup { Found, Missing, NotText };

// All of these are for who may read Envoy's side.
bool text_attribute(const Request &r, int id, std::string *value);
bool number_attribute(const Request &r, int id, uint64_t *value);
bool truth_attribute(const Request &r, int id, bool *value);

// virtual_cluster is the name of the virtual cluster that the request matched, where Envoy tells.
bool virtual_cluster(const Request &r, std::string *value);

// attribute_text is the attribute of that name that is not a map or message, as text.
Lookup attribute_text(const Request &r, View name, std::string *value);

// code_details is response.code_details, also where Envoy does not offer it to modules.
bool code_details(const Request &r, std::string *value);

} // namespace bridge
