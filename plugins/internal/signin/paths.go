package signin

import (
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/plugins/internal/origin"
)

// maxBack is how long a path may be that users are led to.
const maxBack = 2 << 10

// SafePath returns a path, with a query, that leads nowhere but to this origin: path itself, or "/". Browsers take
// "//" and "/\" for the beginning of another host, and pass over control characters and spaces.
func SafePath(path string) string {
	if len(path) == 0 || len(path) > maxBack || path[0] != '/' || len(path) > 1 && path[1] == '/' {
		return "/"
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return "/"
		}
	}
	return path
}

// Path is an address of a plugin's own, and the field of the configuration that says it; "" is none.
type Path struct{ Field, Path string }

// CheckPaths says which paths could lead elsewhere, and which are not apart from one another.
func CheckPaths(paths ...Path) error {
	var errs []error
	for i, p := range paths {
		if p.Path == "" {
			continue
		}
		if SafePath(p.Path) != p.Path || strings.ContainsAny(p.Path, "?#") {
			errs = append(errs, fmt.Errorf("%s: must be a path that begins with one /, without a query", p.Field))
		}
		for _, q := range paths[:i] {
			if origin.SamePath(p.Path, q.Path) {
				errs = append(errs, fmt.Errorf("%s: must not be the path of %s", p.Field, q.Field))
			}
		}
	}
	return errors.Join(errs...)
}
