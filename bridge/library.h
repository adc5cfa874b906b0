// Go libraries: loading them, once each and for ever, and knowing which serves a plugin.
#pragma once

#include <string>

#include "golang.h"

namespace bridge {

struct Library {
  std::string id;
  std::string path;
  Exports go;
};

// promote makes the functions that libraries call visible to them. It must run before any is loaded.
bool promote(std::string *error);

// load_library returns the library of id, loading path the first time. On failure it returns nullptr and says why.
Library *load_library(const std::string &id, const std::string &path, std::string *error);

// serve_plugin records that a filter configuration runs plugin out of library. It returns another library that serves a
// plugin of that name too, if one does.
Library *serve_plugin(Library *library, const std::string &plugin);

// library_of returns the one library that serves plugin; nullptr if none is known, or several are.
Library *library_of(const std::string &plugin);

} // namespace bridge
