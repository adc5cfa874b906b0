package clienthello

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
)

// message writes the message of h, whose extensions that are not read are empty.
func message(h *hello) []byte {
	var b cryptobyte.Builder
	list := func(b *cryptobyte.Builder, all []uint16) {
		for _, n := range all {
			b.AddUint16(n)
		}
	}
	b.AddUint8(1)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(h.version)
		b.AddBytes(make([]byte, 32))
		b.AddUint8LengthPrefixed(func(*cryptobyte.Builder) {})
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { list(b, h.ciphers) })
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) })
		if h.extensions == nil {
			return
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, kind := range h.extensions {
				b.AddUint16(kind)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { h.write(b, kind, list) })
			}
		})
	})
	return b.BytesOrPanic()
}

func (h *hello) write(b *cryptobyte.Builder, kind uint16, list func(*cryptobyte.Builder, []uint16)) {
	switch kind {
	case extServerName:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(h.serverName)) })
		})
	case extCurves:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { list(b, h.curves) })
	case extPoints:
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.points) })
	case extSignatures:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { list(b, h.signatures) })
	case extVersions:
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { list(b, h.versions) })
	case extALPN:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, name := range h.alpn {
				b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
			}
		})
	}
}

// records cuts a message into records of size bytes.
func records(message []byte, size int) []byte {
	var all []byte
	for rest := message; len(rest) > 0; {
		n := min(size, len(rest))
		all = append(all, 22, 3, 1, byte(n>>8), byte(n))
		all = append(all, rest[:n]...)
		rest = rest[n:]
	}
	return all
}

// chrome is the client of the example in JA4's specification, whose fingerprint is in chromeJA4.
var chrome = &hello{
	version: 0x0303,
	ciphers: []uint16{
		0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
	},
	extensions: []uint16{
		0x6a6a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
	},
	signatures: []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
	versions:   []uint16{0xdada, 0x0304, 0x0303},
	curves:     []uint16{0x3a3a, 0x001d, 0x0017, 0x0018},
	points:     []uint8{0},
	alpn:       []string{"h2", "http/1.1"},
	serverName: "clients1.google.com",
	named:      true,
}

const chromeJA4 = "t13d1516h2_8daaf6152771_e5627efa2ab1"

func TestRead(t *testing.T) {
	whole := message(chrome)
	for name, size := range map[string]int{"one record": maxRecord, "two records": len(whole) - 1, "many records": len(whole)/maxRecords + 1} {
		t.Run(name, func(t *testing.T) {
			p := records(whole, size)
			got, need, err := read(append(p, "behind"...), 1<<14)
			if err != nil || need != 0 {
				t.Fatalf("read: %v, and it needs %d bytes", err, need)
			}
			if diff := cmp.Diff(chrome, got, cmp.AllowUnexported(hello{})); diff != "" {
				t.Errorf("the message (-want +got):\n%s", diff)
			}
			for n := range len(p) {
				if h, need, err := read(p[:n], 1<<14); h != nil || err != nil || need <= n || need > len(p) {
					t.Errorf("of %d bytes of %d: %+v, %v, and it needs %d", n, len(p), h, err, need)
				}
			}
		})
	}
}

// Fingerprints are those that the specifications have for these clients.
func TestFingerprints(t *testing.T) {
	old := &hello{
		version:    769,
		ciphers:    []uint16{47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4},
		extensions: []uint16{0, 10, 11}, curves: []uint16{23, 24, 25}, points: []uint8{0}, serverName: "a", named: true,
	}
	for _, c := range []struct {
		name string
		h    *hello
		ja3  string // of salesforce/ja3's README
		ja4  string // of FoxIO-LLC/ja4's JA4.md
	}{
		{name: "a browser", h: chrome, ja4: chromeJA4},
		{name: "TLS 1.0", h: old, ja3: "ada70206e40642a3e4461f35503241d5"},
		{name: "no extensions", h: &hello{version: 769, ciphers: []uint16{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}}, ja3: "de350869b8c85de67a350c8d186f11e6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _, err := read(records(message(c.h), maxRecord), 1<<14)
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			if text, hash := h.ja3(); c.ja3 != "" && hash != c.ja3 {
				t.Errorf("JA3 is %s (%s), want %s", hash, text, c.ja3)
			}
			if got := h.ja4(); c.ja4 != "" && got != c.ja4 {
				t.Errorf("JA4 is %s, want %s", got, c.ja4)
			}
		})
	}
}

// What JA4's specification says of what is not there, or is not text.
func TestJA4First(t *testing.T) {
	for _, c := range []struct {
		name string
		h    hello
		want string
	}{
		{"nothing", hello{version: 0x0303}, "t12i000000_000000000000_000000000000"},
		{"a name", hello{version: 0x0301, extensions: []uint16{0}, named: true}, "t10d000100_000000000000_000000000000"},
		{"a protocol of one letter", hello{version: 0x0300, alpn: []string{"x"}}, "ts3i0000xx_000000000000_000000000000"},
		{"a protocol of no letters", hello{version: 0x0302, alpn: []string{"\xab\xcd"}}, "t11i0000ad_000000000000_000000000000"},
		{"a version that is not known", hello{version: 0x9999}, "t00i000000_000000000000_000000000000"},
		{"more ciphers than two digits", hello{version: 0x0303, ciphers: make([]uint16, 120)}, "t12i990000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.h.ja4(); !strings.HasPrefix(got, c.want) {
				t.Errorf("JA4 is %s, want %s", got, c.want)
			}
		})
	}
}

// goHello is what Go's own client says.
func goHello(t testing.TB, conf *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_ = tls.Client(theirs, conf).Handshake()
		theirs.Close()
	}()
	p := make([]byte, 1<<14)
	n, err := ours.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("reading what the client says: %v", err)
	}
	return p[:n]
}

func TestOfGo(t *testing.T) {
	h, need, err := read(goHello(t, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2", "x"}}), 1<<14)
	if err != nil || need > 0 {
		t.Fatalf("read: %v, and it needs %d bytes", err, need)
	}
	if h.serverName != "www.example.com" || strings.Join(h.alpn, " ") != "h2 x" || h.ja4Version() != "13" {
		t.Errorf("read: %+v", h)
	}
}

func TestMalformed(t *testing.T) {
	whole := message(chrome)
	with := func(change func(h *hello)) []byte {
		h := *chrome
		change(&h)
		return records(message(&h), maxRecord)
	}
	for _, c := range []struct {
		name, want string
		p          []byte
	}{
		{"plain text", "not TLS", []byte("GET / HTTP/1.1\r\n\r\n")},
		{"one byte of something else", "not TLS", []byte{23}},
		{"a version of records that is none", "not TLS", []byte{22, 2}},
		{"another message", "not TLS", []byte{22, 3, 1, 0, 1, 2}},
		{"an empty record", "a record of 0 bytes", []byte{22, 3, 1, 0, 0}},
		{"a record that is too long", "a record of 16385 bytes", []byte{22, 3, 1, 0x40, 1}},
		{"a message that is too long", "maxSize is 16384", []byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}},
		{"too many records", "more than 16 records", records(whole, 8)},
		{"an extension twice", "duplicate extension", with(func(h *hello) { h.extensions = append([]uint16{0x0017}, h.extensions...) })},
		{"a name that is empty", "extension 0 is malformed", with(func(h *hello) { h.serverName = "" })},
		{"a name with a blank", "extension 0 is malformed", with(func(h *hello) { h.serverName = "a b" })},
		{"a name with a NUL", "extension 0 is malformed", with(func(h *hello) { h.serverName = "a\x00" })},
		{"a protocol that is empty", "extension 16 is malformed", with(func(h *hello) { h.alpn = []string{""} })},
		{"a message that is cut off", "cut off", records(append([]byte{1, 0, 0, byte(len(whole) % 200)}, whole[4:4+len(whole)%200]...), maxRecord)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if h, need, err := read(c.p, 1<<14); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("read: %+v, %d, %v; want an error with %q", h, need, err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(records(message(chrome), 100))
	f.Add(goHello(f, &tls.Config{ServerName: "a.example"}))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, need, err := read(p, 1<<14)
		switch {
		case err != nil && h != nil, err == nil && h == nil && need <= len(p):
			t.Fatalf("read: %+v, %d, %v of %d bytes", h, need, err, len(p))
		case h == nil:
			return
		}
		if got := h.ja4(); !isJA4(strings.ToLower(got)) {
			t.Errorf("JA4 is %s", got)
		}
		again, _, err := read(append(bytes.Clone(p), 0), 1<<14)
		if diff := cmp.Diff(h, again, cmp.AllowUnexported(hello{})); diff != "" || err != nil {
			t.Errorf("what follows matters: %v (-before +after)\n%s", err, diff)
		}
	})
}
