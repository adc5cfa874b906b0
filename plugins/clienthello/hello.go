package clienthello

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Sizes of TLS records and messages, in bytes.
const (
	recordHeader  = 5
	messageHeader = 4
	maxRecord     = 1 << 14
)

// maxRecords is how many records the message may be cut into. Clients send one or two.
const maxRecords = 16

// errOther is of a client that does not begin as TLS does.
var errOther = errors.New("not TLS")

// hello is what a client says of itself at the beginning of TLS (RFC 8446, section 4.1.2).
type hello struct {
	version    uint16 // the one of the message itself
	ciphers    []uint16
	extensions []uint16 // in their order
	curves     []uint16
	points     []uint8
	signatures []uint16
	versions   []uint16
	alpn       []string
	serverName string
	named      bool // there is a server name extension
}

// read reads the message that p begins with, in one record or more. Where p is only the beginning, it returns how many bytes
// it needs to go on. limit bounds the message.
func read(p []byte, limit int) (h *hello, need int, err error) {
	message, need, err := join(p, limit)
	if message == nil {
		return nil, need, err
	}
	h, err = parse(message)
	return h, 0, err
}

// join returns the first message of the handshake, from its records.
func join(p []byte, limit int) (message []byte, need int, err error) {
	at, size := 0, messageHeader // size of the message, as far as it is known
	for records := 0; len(message) < size; records++ {
		if records == maxRecords {
			return nil, 0, fmt.Errorf("a message in more than %d records", maxRecords)
		}
		if err := checkRecord(p[at:]); err != nil {
			return nil, 0, err
		}
		if len(p) < at+recordHeader {
			return nil, at + recordHeader, nil
		}
		length := int(p[at+3])<<8 | int(p[at+4])
		if length == 0 || length > maxRecord {
			return nil, 0, fmt.Errorf("a record of %d bytes", length)
		}
		at += recordHeader
		end := at + length
		message = append(message, p[at:min(len(p), end)]...)
		if len(message) >= messageHeader {
			size = messageHeader + (int(message[1])<<16 | int(message[2])<<8 | int(message[3]))
		}
		switch {
		case len(message) > 0 && message[0] != 1:
			return nil, 0, errOther
		case size > limit:
			return nil, 0, fmt.Errorf("a message of %d bytes, and maxSize is %d", size, limit)
		case len(message) < size && len(p) < end:
			return nil, end, nil
		}
		at = end
	}
	return message[messageHeader:size], 0, nil
}

// checkRecord reports whether p, as far as it goes, begins as a record of the handshake does.
func checkRecord(p []byte) error {
	if len(p) > 0 && p[0] != 22 || len(p) > 1 && p[1] != 3 {
		return errOther
	}
	return nil
}

var errCut = errors.New("the message is cut off")

func parse(message []byte) (*hello, error) {
	h := &hello{}
	s := cryptobyte.String(message)
	var random []byte
	var session, ciphers, compressions, extensions cryptobyte.String
	if !s.ReadUint16(&h.version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&ciphers) || !s.ReadUint8LengthPrefixed(&compressions) {
		return nil, errCut
	}
	if !numbers(ciphers, &h.ciphers) {
		return nil, errCut
	}
	if s.Empty() { // as before TLS 1.2
		return h, nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return nil, errCut
	}
	seen := map[uint16]bool{}
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return nil, errCut
		}
		if seen[kind] {
			return nil, fmt.Errorf("duplicate extension %d", kind)
		}
		seen[kind] = true
		h.extensions = append(h.extensions, kind)
		if !h.extension(kind, data) {
			return nil, fmt.Errorf("the extension %d is malformed", kind)
		}
	}
	return h, nil
}

// Extensions that are read (https://www.iana.org/assignments/tls-extensiontype-values).
const (
	extServerName = 0
	extCurves     = 10
	extPoints     = 11
	extSignatures = 13
	extALPN       = 16
	extVersions   = 43
)

// extension reads an extension, and reports whether it is well formed.
func (h *hello) extension(kind uint16, data cryptobyte.String) bool {
	var list cryptobyte.String
	switch kind {
	case extServerName:
		h.named = true
		return h.readNames(data)
	case extCurves:
		return data.ReadUint16LengthPrefixed(&list) && data.Empty() && numbers(list, &h.curves)
	case extPoints:
		if !data.ReadUint8LengthPrefixed(&list) || !data.Empty() {
			return false
		}
		h.points = list
	case extSignatures:
		return data.ReadUint16LengthPrefixed(&list) && data.Empty() && numbers(list, &h.signatures)
	case extALPN:
		if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() {
			return false
		}
		for !list.Empty() {
			var name cryptobyte.String
			if !list.ReadUint8LengthPrefixed(&name) || name.Empty() {
				return false
			}
			h.alpn = append(h.alpn, string(name))
		}
	case extVersions:
		return data.ReadUint8LengthPrefixed(&list) && data.Empty() && numbers(list, &h.versions)
	}
	return true
}

// readNames reads the server name extension (RFC 6066, section 3).
func (h *hello) readNames(data cryptobyte.String) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return false
		}
		if kind != 0 {
			continue
		}
		if h.serverName != "" || strings.ContainsFunc(string(name), func(c rune) bool { return c <= ' ' || c > '~' }) {
			return false
		}
		h.serverName = string(name)
	}
	return true
}

func numbers(s cryptobyte.String, into *[]uint16) bool {
	for !s.Empty() {
		var n uint16
		if !s.ReadUint16(&n) {
			return false
		}
		*into = append(*into, n)
	}
	return true
}
