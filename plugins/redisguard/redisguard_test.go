package redisguard

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

// resp writes a command as an array.
func resp(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func TestRedisGuard(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct{ name, conf, in, out, closed string }{
		{name: "permitted", conf: "deny: [FLUSHALL]", in: resp("GET", "a"), out: resp("GET", "a")},
		{name: "denied", conf: "deny: [FLUSHALL]", in: resp("GET", "a") + resp("flushall") + resp("GET", "b"), out: resp("GET", "a") + refusal + resp("GET", "b")},
		{name: "denied with arguments", conf: "deny: [SET]", in: resp("SET", "a", long, "EX", "1") + resp("GET", "b"), out: refusal + resp("GET", "b")},
		{name: "a long value", conf: "deny: [DEL]", in: resp("SET", "a", long), out: resp("SET", "a", long)},
		{name: "a long first argument", conf: "deny: [DEL]", in: resp("ECHO", long), out: resp("ECHO", long)},
		{name: "a subcommand", conf: "deny: [CONFIG SET]", in: resp("config", "set", "a", "b") + resp("CONFIG", "GET", "a"), out: refusal + resp("CONFIG", "GET", "a")},
		{name: "allow", conf: "allow: [GET, CONFIG GET]", in: resp("GET", "a") + resp("CONFIG", "GET", "*") + resp("CONFIG", "SET", "a", "b") + resp("SET", "a", "b"), out: resp("GET", "a") + resp("CONFIG", "GET", "*") + refusal + refusal},
		{name: "deny before allow", conf: "allow: [GET]\ndeny: [GET]", in: resp("GET", "a"), out: refusal},
		{name: "inline", conf: "deny: [FLUSHALL]", in: "PING\r\n\r\nflushall  now\r\nget a\n", out: "PING\r\n\r\n" + refusal + "get a\n"},
		{name: "an empty array", conf: "deny: [DEL]", in: "*0\r\n" + resp("PING"), out: "*0\r\n" + resp("PING")},
		{name: "close", conf: "deny: [DEL]\nclose: true", in: resp("PING") + resp("DEL", "a"), closed: "the command is refused"},
		{name: "an argument that is denied elsewhere", conf: "deny: [DEL]", in: resp("GET", "DEL"), out: resp("GET", "DEL")},
		{name: "a negative size", conf: "deny: [DEL]", in: "*1\r\n$-1\r\n", closed: "protocol error"},
		{name: "a number with a sign", conf: "deny: [DEL]", in: "*+1\r\n$4\r\nPING\r\n", closed: "protocol error"},
		{name: "a line feed alone", conf: "deny: [DEL]", in: "*1\n$4\nPING\n", closed: "protocol error"},
		{name: "a wrong length", conf: "deny: [DEL]", in: "*1\r\n$3\r\nPING\r\n", closed: "protocol error"},
		{name: "too many arguments", conf: "deny: [DEL]\nmaxArguments: 2", in: resp("SET", "a", "b"), closed: "protocol error"},
		{name: "too long an argument", conf: "deny: [DEL]\nmaxArgument: 99", in: resp("SET", "a", strings.Repeat("x", 100)), closed: "protocol error"},
		{name: "quotes in a line", conf: "deny: [DEL]", in: "\"DEL\" a\r\n", closed: "protocol error"},
		{name: "a NUL behind the name", conf: "deny: [FLUSHALL]", in: resp("FLUSHALL\x00123"), closed: "protocol error"},
		{name: "a name that is not ASCII", conf: "deny: [FLUSHALL]", in: resp("FLUſHALL"), closed: "protocol error"},
		{name: "a space in the name", conf: "deny: [FLUSHALL]", in: resp("FLUSHALL "), closed: "protocol error"},
		{name: "an empty name", conf: "deny: [FLUSHALL]", in: resp(""), closed: "protocol error"},
		{name: "a NUL behind the subcommand", conf: "deny: [CONFIG SET]", in: resp("CONFIG", "SET\x00", "a", "b"), closed: "protocol error"},
		{name: "a NUL and much behind the subcommand", conf: "deny: [CONFIG SET]", in: resp("CONFIG", "SET\x00"+long, "a", "b"), closed: "protocol error"},
		{name: "a NUL behind a key", conf: "deny: [CONFIG SET]", in: resp("GET", "SET\x00"), out: resp("GET", "SET\x00")},
		{name: "a line with bytes that are not ASCII", conf: "deny: [FLUSHALL]", in: "FLUSHALL\xa0\r\n", closed: "protocol error"},
		{name: "a line with a NUL", conf: "deny: [FLUSHALL]", in: "FLUSHALL\x00 a\r\n", closed: "protocol error"},
		{name: "a rule with a bar", conf: "deny: [config|set]", in: resp("CONFIG", "SET", "a", "b") + resp("CONFIG", "GET", "a"), out: refusal + resp("CONFIG", "GET", "a")},
		{name: "TLS", conf: "deny: [DEL]", in: "\x16\x03\x01\x02\x00\x01\x00\n", closed: "protocol error"},
	} {
		for name, size := range map[string]int{"in one piece": len(c.in), "one byte at a time": 1, "in pieces of 7": 7} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				f, err := networktest.New[RedisGuard](t, c.conf)
				if err != nil {
					t.Fatalf("networktest.New: %v", err)
				}
				conn := f.Connect(networktest.Peer{})
				for rest := c.in; rest != ""; {
					n := min(size, len(rest))
					conn.FromClient(rest[:n])
					rest = rest[n:]
				}
				if c.closed != "" {
					if got := conn.Closed(); got == nil || got.Details != "moe.redisguard: "+c.closed {
						t.Errorf("closed as %+v, want %s", got, c.closed)
					}
					if got := conn.ToClient(); got != "-ERR "+c.closed+"\r\n" {
						t.Errorf("the client gets %q, want an error", got)
					}
					return
				}
				if got := conn.ToUpstream(); got != c.out {
					t.Errorf("%.200q has passed, want %.200q", got, c.out)
				}
				conn.EndFromClient("")
				if !conn.Ended(network.Read) {
					t.Error("the client's end has not passed")
				}
			})
		}
	}
}

// A client that ends within a command leaves nothing of its head to the server.
func TestEndsWithin(t *testing.T) {
	f, err := networktest.New[RedisGuard](t, "deny: [DEL]")
	if err != nil {
		t.Fatalf("networktest.New: %v", err)
	}
	c := f.Connect(networktest.Peer{})
	c.EndFromClient("*2\r\n$3\r\nGE")
	if c.Closed() == nil || c.ToUpstream() != "" {
		t.Errorf("closed as %+v with %q passed, want it closed with nothing", c.Closed(), c.ToUpstream())
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"no list", "{}", "give one list"},
		{"three words", "deny: [A B C]", "deny[0]"},
		{"no word", "allow: ['']", "allow[0]"},
		{"three words with bars", "deny: ['A|B|C']", "deny[0]"},
		{"two bars", "deny: ['A||B']", "deny[0]"},
		{"a category", "deny: ['@dangerous']", "cannot be a command"},
		{"a wildcard", "deny: ['CONFIG *']", "cannot be a command"},
		{"a comma", "deny: ['DEL, SET']", "cannot be a command"},
		{"letters that are not ASCII", "deny: ['FLUſHÄLL']", "cannot be a command"},
		{"a long word", "deny: [" + strings.Repeat("A", 65) + "]", "longer than 64 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := networktest.New[RedisGuard](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

// A line that comes byte by byte is looked through once.
func TestInlineScannedOnce(t *testing.T) {
	g := &RedisGuard{}
	var p parser
	line := []byte("GET " + strings.Repeat("a", 100))
	for n := 1; n <= len(line); n++ {
		c, err := p.begin(line[:n], g)
		if err != nil || c.length != 0 || p.scanned != n {
			t.Fatalf("of %d bytes: %+v, %d are looked through, error %v; want all of them, and more to come", n, c, p.scanned, err)
		}
	}
	c, err := p.begin(append(line, "\r\nPING\r\n"...), g)
	if want := len(line) + 2; err != nil || c.length != want || c.name != "GET" || p.scanned != 0 {
		t.Errorf("at the line's end: %+v, %d are looked through, error %v; want GET of %d bytes, and none", c, p.scanned, err, want)
	}
}

// However bytes are cut, the same passes; and nothing that is denied does.
func FuzzParser(f *testing.F) {
	f.Add([]byte(resp("SET", "a", "b")+resp("DEL", "a")+"PING\r\n"), uint8(3))
	f.Add([]byte("*1\r\n$3\r\nDEL\r\n*2\r\n$4\r\nINFO\r\n$99\r\n"), uint8(1))
	g := &RedisGuard{Deny: []string{"DEL"}, MaxArguments: 100, MaxArgument: 1 << 20}
	if err := g.Validate(); err != nil {
		f.Fatalf("Validate: %v", err)
	}
	run := func(in []byte, size int) (out []byte, asked []string, failed bool) {
		var p parser
		var held []byte
		for len(in) > 0 {
			n := min(size, len(in))
			all := append(held, in[:n]...)
			in = in[n:]
			passed, keep, err := p.feed(all, g, func(command, sub string) bool {
				asked = append(asked, command)
				return g.permits(command, sub)
			})
			if err != nil {
				return out, asked, true
			}
			out = append(out, passed...)
			held = append([]byte(nil), all[len(all)-keep:]...)
		}
		return out, asked, false
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole, asked, failed := run(in, len(in)+1)
		parts, askedParts, failedParts := run(in, int(size%16)+1)
		if failed != failedParts || fmt.Sprint(asked) != fmt.Sprint(askedParts) {
			t.Errorf("in one piece %v (failed: %v), in parts %v (failed: %v)", asked, failed, askedParts, failedParts)
		}
		if !failed && string(whole) != string(parts) {
			t.Errorf("%q passes in one piece, %q in parts", whole, parts)
		}
	})
}
