// Package redisguard refuses commands of Redis, before they reach the server.
package redisguard

import (
	"embed"
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/framework/network"
)

// RedisGuard reads the commands of clients of Redis and lets only some pass. It is a network filter.
type RedisGuard struct {
	// Allow lists the commands that may pass, such as GET or "CONFIG GET". All may that are not denied if it is missing.
	Allow []string `json:"allow"`
	// Deny lists commands that may not, even if they are in allow.
	Deny []string `json:"deny"`
	// Close closes the connection at a command that is refused. Otherwise the server answers in its place with an error.
	Close bool `json:"close"`
	// MaxArguments is how many arguments a command may have, with its name.
	MaxArguments int `json:"maxArguments" default:"1048576" validate:"min=1,max=1048576"`
	// MaxArgument is how long an argument may be.
	MaxArgument network.Size `json:"maxArgument" default:"512MiB" validate:"min=1,max=536870912"`

	allow, deny map[string]bool
	twoWords    map[string]bool // commands of which a list has subcommands
	refused     *network.Counter
	malformed   *network.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() { network.RegisterPerConnection("redisguard", (*RedisGuard).newFilter, network.Docs(docs)) }

// Validate prepares the look-up.
func (g *RedisGuard) Validate() error {
	if len(g.Allow) == 0 && len(g.Deny) == 0 {
		return errors.New("allow and deny are both empty: give one list")
	}
	var errs []error
	g.twoWords = map[string]bool{}
	set := func(field string, list []string) map[string]bool {
		all := map[string]bool{}
		for i, command := range list {
			words, err := parse(command)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
				continue
			}
			all[strings.Join(words, " ")] = true
			if len(words) == 2 {
				g.twoWords[words[0]] = true
			}
		}
		return all
	}
	g.allow, g.deny = set("allow", g.Allow), set("deny", g.Deny)
	return errors.Join(errs...)
}

// parse reads a command of a list, as `CONFIG SET` or as Redis's ACLs and its COMMAND LIST write it, `config|set`.
func parse(command string) ([]string, error) {
	words := strings.Fields(strings.ReplaceAll(upper([]byte(command)), "|", " "))
	if len(words) == 0 || len(words) > 2 || strings.Count(command, "|") > 1 {
		return nil, fmt.Errorf("%q: expected a command such as GET, or one with its subcommand such as \"CONFIG GET\"", command)
	}
	for _, w := range words {
		if len(w) > maxName {
			return nil, fmt.Errorf("%.80q: a word is longer than %d bytes, and no command is", w, maxName)
		}
		if printable(w) != w {
			return nil, fmt.Errorf("%q: %q cannot be a command: expected letters, digits, \".\", \"_\" and \"-\", without wildcards and categories", command, w)
		}
	}
	return words, nil
}

// Provision declares metrics.
func (g *RedisGuard) Provision(env *network.Env) error {
	g.refused, g.malformed = env.Counter("refused"), env.Counter("malformed")
	return nil
}

// permits reports whether a command may pass; sub is its first argument.
func (g *RedisGuard) permits(command, sub string) bool {
	both := command + " " + sub
	if g.deny[command] || g.deny[both] {
		return false
	}
	return len(g.allow) == 0 || g.allow[command] || g.allow[both]
}

// connection is one client's.
type connection struct {
	guard  *RedisGuard
	parser parser
}

func (g *RedisGuard) newFilter(*network.Conn) *connection { return &connection{guard: g} }

// refusal takes the place of a command that is refused: Redis has no such command and says so, in its turn.
const refusal = "*1\r\n$17\r\nREFUSED_BY_POLICY\r\n"

// OnRead lets whole commands, and parts of those that are permitted, pass.
func (c *connection) OnRead(conn *network.Conn, d *network.Data) network.Action {
	out, held, err := c.parser.feed(d.Bytes(), c.guard, func(command, sub string) bool {
		if c.guard.permits(command, sub) {
			return true
		}
		c.guard.refused.Inc()
		conn.Log().Info("refused", "command", printable(command), "address", conn.RemoteAddr())
		return false
	})
	switch {
	case err != nil:
		if !errors.Is(err, errRefused) {
			c.guard.malformed.Inc()
			conn.Log().Info("malformed", "error", err, "address", conn.RemoteAddr())
		}
		_ = conn.Inject(network.Write, []byte("-ERR "+err.Error()+"\r\n"))
		return network.Close(err.Error())
	case d.End() && held > 0:
		return network.Close("the client has ended within a command")
	case d.End():
		d.Set(out)
		return network.Continue
	}
	n := len(out)
	d.Set(append(out, d.Bytes()[d.Len()-held:]...))
	return network.Pass(n)
}

// printable is what of a command goes to the log: its name, if it looks like one.
func printable(command string) string {
	for _, c := range []byte(command) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return "(not a name)"
		}
	}
	return command
}
