package basicauth

import (
	"fmt"
	"strings"
)

// users are those of a file, by name.
type users map[string]password

// parseFile reads NAME:HASH, a user a line, with a colon and a comment behind as nginx has it; empty lines and those that begin with # do not count. Errors name the
// line and quote nothing of it.
func (u users) parseFile(path string, data []byte) error {
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return fmt.Errorf("%s: line %d: expected NAME:HASH", path, n)
		}
		hash, _, _ = strings.Cut(hash, ":") // no hash has a colon
		p, err := parseHash(hash)
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		if u[name] != nil {
			return fmt.Errorf("%s: line %d: duplicate user", path, n)
		}
		u[name] = p
	}
	return nil
}
