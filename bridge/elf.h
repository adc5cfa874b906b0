// The dynamic symbols of a library file, read without loading it: loading a Go library starts its runtime and runs its
// initialisers, which cannot be undone.
#pragma once

#include <set>
#include <string>

namespace bridge {

struct Symbols {
  std::set<std::string> defined;
  std::set<std::string> undefined;
};

// read_symbols returns false and says why if path is not a shared library for this machine.
bool read_symbols(const std::string &path, Symbols *symbols, std::string *error);

} // namespace bridge
