// Whether a library survives its own initialisers. Go's run when it is loaded, and one that panics or exits ends the
// process, which nothing can stop from inside. So they run first in a process of their own.
//
// That process is Envoy's executable with the bridge preloaded. The bridge's constructor loads the library before main
// begins, says so through a pipe, and exits. See probe.cc for Envoy's side and probed.cc for the other.
#pragma once

#include <string>

namespace bridge {

// survives returns false and says why if the library's initialisers end their process, or do not come to an end. It
// returns true, with a warning in the log, if this cannot be found out here. Callers hold the registry's lock.
bool survives(const std::string &path, std::string *error);

// probed reports whether this process is the one of a library on trial: there is no Envoy in it to call.
bool probed();

// What both sides agree upon: PARENT:PATH in the environment, and a pipe on which the bridge says how far it has come.
constexpr char probe_job[] = "GOLANG_BRIDGE_PROBE_JOB";
constexpr int probe_pipe = 3;
constexpr char probe_begun = 'b', probe_done = 'd';

} // namespace bridge
