package clienthello

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// grease reports whether a number is one that clients send to keep servers open for new ones (RFC 8701).
func grease(n uint16) bool { return n&0x0F0F == 0x0A0A && n>>8 == n&0xFF }

// real leaves out what is grease.
func real(all []uint16) (kept []uint16) {
	for _, n := range all {
		if !grease(n) {
			kept = append(kept, n)
		}
	}
	return kept
}

// ja3 returns the text of JA3, and its hash (https://github.com/salesforce/ja3).
func (h *hello) ja3() (text, hash string) {
	points := make([]uint16, len(h.points))
	for i, p := range h.points {
		points[i] = uint16(p)
	}
	lists := []string{strconv.Itoa(int(h.version))}
	for _, all := range [][]uint16{real(h.ciphers), real(h.extensions), real(h.curves), points} {
		lists = append(lists, joined(all, "-", "%d"))
	}
	text = strings.Join(lists, ",")
	sum := md5.Sum([]byte(text))
	return text, hex.EncodeToString(sum[:])
}

// ja4 returns the JA4 fingerprint of a client that has come over TCP (https://github.com/FoxIO-LLC/ja4, JA4.md).
func (h *hello) ja4() string {
	ciphers, extensions := real(h.ciphers), real(h.extensions)
	name := "i"
	if h.named {
		name = "d"
	}
	first := fmt.Sprintf("t%s%s%02d%02d%s", h.ja4Version(), name, min(len(ciphers), 99), min(len(extensions), 99), h.ja4ALPN())
	slices.Sort(ciphers)
	extensions = slices.DeleteFunc(extensions, func(n uint16) bool { return n == extServerName || n == extALPN })
	slices.Sort(extensions)
	last := joined(extensions, ",", "%04x")
	if signatures := real(h.signatures); len(signatures) > 0 {
		last += "_" + joined(signatures, ",", "%04x")
	}
	return first + "_" + hash12(joined(ciphers, ",", "%04x")) + "_" + hash12(last)
}

// ja4Version is the highest version that the client offers.
func (h *hello) ja4Version() string {
	version := h.version
	if offered := real(h.versions); len(offered) > 0 {
		version = slices.Max(offered)
	}
	switch version {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	}
	return "00"
}

// ja4ALPN is the first and the last character of the first protocol.
func (h *hello) ja4ALPN() string {
	if len(h.alpn) == 0 {
		return "00"
	}
	name := h.alpn[0]
	if !alphanumeric(name[0]) || !alphanumeric(name[len(name)-1]) {
		name = hex.EncodeToString([]byte(name))
	}
	return name[:1] + name[len(name)-1:]
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// hash12 is the beginning of a hash, or zeros of nothing.
func hash12(text string) string {
	if text == "" {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func joined(all []uint16, between, form string) string {
	parts := make([]string, len(all))
	for i, n := range all {
		parts[i] = fmt.Sprintf(form, n)
	}
	return strings.Join(parts, between)
}
