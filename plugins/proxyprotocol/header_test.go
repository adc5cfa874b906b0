package proxyprotocol

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

const sig = "\r\n\r\n\x00\r\nQUIT\n"

// v2 writes a header of version 2: its command, its family, and what follows.
func v2(command, family byte, body string) string {
	var n [2]byte
	binary.BigEndian.PutUint16(n[:], uint16(len(body)))
	return sig + string([]byte{command, family}) + string(n[:]) + body
}

// of writes a value.
func of(kind byte, value string) string {
	var n [2]byte
	binary.BigEndian.PutUint16(n[:], uint16(len(value)))
	return string([]byte{kind}) + string(n[:]) + value
}

// v4 are the addresses 192.0.2.1:4660 and 198.51.100.2:443.
const v4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"

// v6 are the addresses [2001:db8::1]:4660 and [2001:db8::2]:443.
const v6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
	"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x34\x01\xbb"

// summed is a header with a checksum of its own.
func summed(xor uint32) string {
	zeros := []byte(v2(0x21, 0x11, v4+of(kindCRC32C, "\x00\x00\x00\x00")))
	sum := crc32.Checksum(zeros, crc32.MakeTable(crc32.Castagnoli)) ^ xor
	binary.BigEndian.PutUint32(zeros[len(zeros)-4:], sum)
	return string(zeros)
}

func TestRead(t *testing.T) {
	addr := netip.MustParseAddrPort
	for _, c := range []struct {
		name, in string
		src, dst netip.AddrPort
		version  int
	}{
		{name: "TCP4", in: "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", src: addr("192.168.0.1:56324"), dst: addr("192.168.0.11:443"), version: 1},
		{name: "TCP6", in: "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", src: addr("[2001:db8::1]:1"), dst: addr("[2001:db8::2]:65535"), version: 1},
		{
			name: "the longest line", version: 1, src: addr("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), dst: addr("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
			in: "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		},
		{name: "unknown", in: "PROXY UNKNOWN\r\n", version: 1},
		{name: "unknown with more", in: "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", version: 1},
		{name: "IPv4", in: v2(0x21, 0x11, v4), src: addr("192.0.2.1:4660"), dst: addr("198.51.100.2:443"), version: 2},
		{name: "IPv6", in: v2(0x21, 0x21, v6), src: addr("[2001:db8::1]:4660"), dst: addr("[2001:db8::2]:443"), version: 2},
		{name: "local", in: v2(0x20, 0x11, v4), version: 2},
		{name: "local without anything", in: v2(0x20, 0x00, ""), version: 2},
		{name: "of no family", in: v2(0x21, 0x00, "whatever"), version: 2},
		{name: "values", in: v2(0x21, 0x11, v4+of(2, "a.example")+of(4, "")), src: addr("192.0.2.1:4660"), dst: addr("198.51.100.2:443"), version: 2},
		{name: "a checksum", in: summed(0), src: addr("192.0.2.1:4660"), dst: addr("198.51.100.2:443"), version: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, need, err := read([]byte(c.in+"behind"), 4096)
			if err != nil || need != 0 {
				t.Fatalf("read: %v, and it needs %d bytes", err, need)
			}
			if h.src != c.src || h.dst != c.dst || h.version != c.version || h.length != len(c.in) {
				t.Errorf("read: %+v, want %v to %v in %d bytes of version %d", h, c.src, c.dst, len(c.in), c.version)
			}
			for n := 1; n < len(c.in); n++ {
				h, need, err := read([]byte(c.in[:n]), 4096)
				if h != nil || err != nil || need <= n || need > len(c.in) {
					t.Errorf("of %d bytes of %d: %+v, %v, and it needs %d", n, len(c.in), h, err, need)
				}
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no header", "GET / HTTP/1.1\r\n\r\n", "no PROXY header"},
		{"lower case", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "no PROXY header"},
		{"a line feed alone", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "CR LF"},
		{"a carriage return within", "PROXY TCP4 1.2.3.4\r 1.2.3.4 1 2\r\n", "CR LF"},
		{"no end", "PROXY " + strings.Repeat("x", 200), "no end within 107 bytes"},
		{"an end that is late", "PROXY UNKNOWN" + strings.Repeat(" ", 93) + "\r\n", "no end within 107 bytes"},
		{"UDP", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "expected TCP4"},
		{"too few fields", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "expected TCP4"},
		{"too many fields", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "expected TCP4"},
		{"two blanks", "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "expected TCP4"},
		{"IPv6 as TCP4", "PROXY TCP4 ::1 ::2 1 2\r\n", "none of TCP4"},
		{"IPv4 as TCP6", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "none of TCP6"},
		{"a zone", "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", "none of TCP6"},
		{"zeros before an address", "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", "none of TCP4"},
		{"a port that is too great", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "a port"},
		{"zeros before a port", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "a port"},
		{"a sign before a port", "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n", "a port"},
		{"a version that is none", v2(0x31, 0x11, v4), "expected 0x20 or 0x21"},
		{"a command that is none", v2(0x22, 0x11, v4), "expected 0x20 or 0x21"},
		{"UDP in version 2", v2(0x21, 0x12, v4), "expected TCP over"},
		{"a UNIX socket", v2(0x21, 0x31, strings.Repeat("x", 216)), "expected TCP over"},
		{"too short for addresses", v2(0x21, 0x21, v4), "too short"},
		{"longer than maxSize", v2(0x21, 0x11, v4+strings.Repeat("x", 5000)), "maxSize is 4096"},
		{"a value that is cut off", v2(0x21, 0x11, v4+"\x02\x00"), "cut off"},
		{"a value that is too long", v2(0x21, 0x11, v4+"\x02\x00\x05ab"), "longer than the header"},
		{"a wrong checksum", summed(1), "checksum is wrong"},
		{"a short checksum", v2(0x21, 0x11, v4+of(kindCRC32C, "abc")), "checksum that is none"},
		{"two checksums", v2(0x21, 0x11, v4+of(kindCRC32C, "abcd")+of(kindCRC32C, "abcd")), "or two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, need, err := read([]byte(c.in), 4096)
			if err == nil || !strings.Contains(err.Error(), c.want) || h != nil {
				t.Errorf("read: %+v, %d, %v; want an error with %q", h, need, err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", v2(0x21, 0x11, v4+of(2, "x")), v2(0x21, 0x21, v6), summed(0)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 {
			return
		}
		h, need, err := read(p, 4096)
		switch {
		case err != nil:
			return
		case need > 0:
			if need <= len(p) || need > 4096 && need > longest1 {
				t.Errorf("it needs %d bytes of %d", need, len(p))
			}
			return
		case h.length > len(p) || h.length < 15:
			t.Fatalf("a header of %d bytes in %d", h.length, len(p))
		}
		if again, _, err := read(p[:h.length], 4096); err != nil || again.src != h.src || again.length != h.length {
			t.Errorf("what follows the header matters: %+v, %+v, %v", h, again, err)
		}
		for i := range 256 {
			_, _ = h.value(byte(i), 0)
			_, _ = h.value(kindSSL, byte(i))
		}
	})
}
