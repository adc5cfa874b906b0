// What Envoy knows of a stream, a route, a cluster or a host beside their own fields: core.Metadata, as far as it shows
// it to modules.
#pragma once

#include <string>

#include "envoy.h"
#include "json.h"

namespace bridge {

// Sources of metadata, by the ABI's numbers.
enum class MetadataOf { Dynamic, Route, Cluster, Host, HostLocality };

// read_metadata returns an object of namespaces, which are objects; null if there is no such route, cluster or host. A
// value that modules cannot read is Unknown. Only the namespace and the key are read that are not empty. On the worker.
Json read_metadata(void *envoy, MetadataOf source, View ns = {}, View key = {});

// metadata_bytes encodes what read_metadata has returned in full; false if some of it is Unknown.
bool metadata_bytes(const Json &metadata, std::string *bytes);

} // namespace bridge
