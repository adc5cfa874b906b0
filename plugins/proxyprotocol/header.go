package proxyprotocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

// The protocol is that of HAProxy, https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	fixed2     = 16  // bytes of version 2 before addresses
	longest1   = 107 // bytes of a version 1 header
)

// header is what a proxy says of a connection.
type header struct {
	version  int
	length   int            // in bytes
	src, dst netip.AddrPort // not valid where the proxy speaks for itself
	tlvs     []tlv
}

// tlv is one of the values of version 2.
type tlv struct {
	kind  byte
	at    int // where in the header its bytes are
	value []byte
}

// errNone is of bytes that begin otherwise than a header of this protocol.
var errNone = errors.New("no PROXY header")

// read reads the header that p begins with. Where p, which is not empty, is only the beginning of one, it returns how many
// bytes it needs to go on, of limit at most.
func read(p []byte, limit int) (h *header, need int, err error) {
	switch {
	case begins(p, signature2):
		h, need, err = read2(p, limit)
	case begins(p, signature1):
		h, need, err = read1(p)
	default:
		err = errNone
	}
	if err != nil {
		return nil, 0, err
	}
	return h, need, nil
}

// begins reports whether p begins with a signature, as far as there is one.
func begins(p []byte, signature string) bool {
	n := min(len(p), len(signature))
	return string(p[:n]) == signature[:n]
}

// read1 reads a line of version 1.
func read1(p []byte) (*header, int, error) {
	line, _, whole := bytes.Cut(p[:min(len(p), longest1)], []byte("\r\n"))
	switch {
	case bytes.ContainsAny(line, "\n") || whole && bytes.ContainsAny(line, "\r"):
		return nil, 0, errors.New("version 1: a line that does not end in CR LF")
	case !whole && len(p) >= longest1:
		return nil, 0, fmt.Errorf("version 1: no end within %d bytes", longest1)
	case !whole:
		return nil, len(p) + 1, nil
	}
	h := &header{version: 1, length: len(line) + 2}
	fields := strings.Split(string(line), " ")
	if fields[1] == "UNKNOWN" {
		return h, 0, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return nil, 0, errors.New("version 1: expected TCP4 or TCP6, two addresses and two ports, or UNKNOWN")
	}
	var err error
	if h.src, err = address1(fields[1], fields[2], fields[4]); err == nil {
		h.dst, err = address1(fields[1], fields[3], fields[5])
	}
	return h, 0, err
}

func address1(family, ip, port string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Zone() != "" || addr.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, fmt.Errorf("version 1: an address that is none of %s", family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, errors.New("version 1: a port that is none")
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// read2 reads a header of version 2.
func read2(p []byte, limit int) (*header, int, error) {
	if len(p) < fixed2 {
		return nil, fixed2, nil
	}
	command, family := p[12], p[13]
	length := fixed2 + int(binary.BigEndian.Uint16(p[14:]))
	switch {
	case command != 0x20 && command != 0x21:
		return nil, 0, fmt.Errorf("version 2: version and command are %#x, expected 0x20 or 0x21", command)
	case length > limit:
		return nil, 0, fmt.Errorf("version 2: %d bytes, and maxSize is %d", length, limit)
	case len(p) < length:
		return nil, length, nil
	}
	h := &header{version: 2, length: length}
	var size int
	switch {
	case command == 0x20, family == 0: // the proxy speaks for itself, or of what it cannot name
		return h, 0, nil
	case family == 0x11:
		size = 4
	case family == 0x21:
		size = 16
	default:
		return nil, 0, fmt.Errorf("version 2: family and protocol are %#x, expected TCP over IPv4 or IPv6", family)
	}
	addresses := fixed2 + 2*size + 4 // where they end
	if length < addresses {
		return nil, 0, errors.New("version 2: too short for its addresses")
	}
	h.src, h.dst = address2(p[fixed2:addresses], 0, size), address2(p[fixed2:addresses], 1, size)
	var err error
	if h.tlvs, err = readTLVs(p[addresses:length], addresses); err != nil {
		return nil, 0, err
	}
	return h, 0, h.checksum(p[:length])
}

// address2 is the source (0) or the destination (1) of addresses of size bytes.
func address2(body []byte, which, size int) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(body[which*size : (which+1)*size])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(body[2*size+2*which:]))
}

// readTLVs reads values, which begin at a place in the header.
func readTLVs(p []byte, at int) (all []tlv, err error) {
	for len(p) > 0 {
		if len(p) < 3 {
			return nil, errors.New("version 2: a value that is cut off")
		}
		n := 3 + int(binary.BigEndian.Uint16(p[1:]))
		if n > len(p) {
			return nil, errors.New("version 2: a value that is longer than the header")
		}
		all = append(all, tlv{p[0], at + 3, p[3:n]})
		p, at = p[n:], at+n
	}
	return all, nil
}

// Kinds of values that this package knows.
const (
	kindCRC32C = 0x03
	kindSSL    = 0x20
)

// checksum compares the header with its own checksum, if it has one.
func (h *header) checksum(whole []byte) error {
	var sum *tlv
	for i := range h.tlvs {
		t := &h.tlvs[i]
		if t.kind != kindCRC32C {
			continue
		}
		if len(t.value) != 4 || sum != nil {
			return errors.New("version 2: a checksum that is none, or two")
		}
		sum = t
	}
	if sum == nil {
		return nil
	}
	zeroed := bytes.Clone(whole) // the checksum is of zeros in its own place
	clear(zeroed[sum.at : sum.at+4])
	if crc32.Checksum(zeroed, castagnoli) != binary.BigEndian.Uint32(sum.value) {
		return errors.New("version 2: the checksum is wrong")
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// value returns the first value of a kind, or of a kind within that of TLS (sub, unless 0).
func (h *header) value(kind, sub byte) ([]byte, bool) {
	for _, t := range h.tlvs {
		if t.kind != kind {
			continue
		}
		if sub == 0 {
			return t.value, true
		}
		if len(t.value) < 5 { // client and verify
			return nil, false
		}
		within, err := readTLVs(t.value[5:], 0)
		if err != nil {
			return nil, false
		}
		return (&header{tlvs: within}).value(sub, 0)
	}
	return nil, false
}
