// Package doccheck tests what the documentation shows: Go code that begins with a package clause compiles, other Go
// code parses, moe.yaml files are accepted by the plugins they name, and links within the repository lead somewhere. It
// is tests only.
package doccheck
