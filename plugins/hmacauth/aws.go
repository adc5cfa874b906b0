package hmacauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// awsScheme is that of the header authorization.
const awsScheme = "AWS4-HMAC-SHA256"

const awsTime = "20060102T150405Z"

// scope is what a signing key of AWS4-HMAC-SHA256 is good for.
type scope struct{ date, region, service, time string }

const unsigned = "UNSIGNED-PAYLOAD"

// aws reads the header authorization of AWS's signature, version 4. hash is the body's, as hexadecimal digits, or ""
// while it is not known.
func (p *HMACAuth) aws(h filter.RequestHeaders, hasBody bool, hash string) (*signed, error) {
	_, rest, _ := strings.Cut(h.Get("authorization"), " ")
	if len(rest) > maxField {
		return nil, malformed
	}
	var credential, names, signature string
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.Trim(part, " \t"), "=")
		var into *string
		switch key {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &names
		case "Signature":
			into = &signature
		}
		if into == nil || *into != "" || value == "" {
			return nil, malformed
		}
		*into = value
	}
	parts := strings.Split(credential, "/")
	sum, err := hex.DecodeString(signature)
	if len(parts) != 5 || parts[0] == "" || parts[4] != "aws4_request" || err != nil || len(sum) != sha256.Size || names == "" {
		return nil, malformed
	}
	sc := &scope{parts[1], parts[2], parts[3], h.Get("x-amz-date")}
	s := &signed{key: parts[0], signature: sum, scope: sc}
	if s.time, err = time.Parse(awsTime, sc.time); err != nil || s.time.Format("20060102") != sc.date {
		return nil, malformed
	}
	if p.Region != "" && sc.region != p.Region || p.Service != "" && sc.service != p.Service {
		return nil, wrongScope
	}
	signedNames := strings.Split(names, ";")
	if !slices.IsSorted(signedNames) || !slices.Contains(signedNames, "host") || !slices.Contains(signedNames, "x-amz-date") {
		return nil, incomplete
	}
	payload := hash
	if h.Has("x-amz-content-sha256") {
		payload = h.Get("x-amz-content-sha256")
		switch {
		case payload == unsigned && (p.UnsignedBody || !hasBody):
		case payload == unsigned:
			return nil, incomplete
		case len(payload) != 2*sha256.Size:
			return nil, malformed
		case hash != "" && payload != hash:
			return nil, wrongDigest
		default:
			s.body = hasBody
		}
	} else {
		s.body = hasBody
		if hasBody && hash == "" {
			return s, nil // the body comes first
		}
	}
	path, query, _ := strings.Cut(h.Path(), "?")
	for _, path := range canonicalPaths(path, sc.service) {
		base, err := canonical(h, sc, path, query, signedNames, names, payload)
		if err != nil {
			return s, err
		}
		s.bases = append(s.bases, base)
	}
	return s, nil
}

// canonicalPaths returns what may have been signed for a path. Signers escape it once more and resolve its dot segments
// and empty ones before, but for s3, which takes it as it is. How far they resolve differs: botocore, as AWS's rules have
// it, leaves no slash after a dot segment at the end; java.net.URI leaves it; and AWS's Go SDK resolves nothing.
func canonicalPaths(path, service string) []string {
	if service == "s3" {
		return []string{path}
	}
	var paths []string
	for _, p := range []string{resolve(path, false), resolve(path, true), path} {
		if p = awsEscape(p, true); !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	return paths
}

// resolve removes dot segments (RFC 3986, section 5.2.4) and empty ones from a path. A slash at the end stays; with slash,
// a dot segment there leaves one.
func resolve(path string, slash bool) string {
	var segments []string
	last := ""
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch last = segment; segment {
		case "", ".":
		case "..":
			segments = segments[:max(len(segments)-1, 0)]
		default:
			segments = append(segments, segment)
		}
	}
	out := "/" + strings.Join(segments, "/")
	if len(segments) > 0 && (last == "" || slash && (last == "." || last == "..")) {
		out += "/"
	}
	return out
}

// canonical returns the string to sign.
func canonical(h filter.RequestHeaders, sc *scope, path, query string, signedNames []string, names, payload string,
) (string, error) {
	var b strings.Builder
	b.WriteString(h.Method() + "\n" + path + "\n" + canonicalQuery(query) + "\n")
	last := ""
	for _, name := range signedNames {
		if name == "" || name == last || name != strings.ToLower(name) {
			return "", malformed
		}
		last = name
		var values []string
		if name == "host" {
			values = []string{h.Host()}
		} else if values = h.Values(name); len(values) == 0 {
			return "", incomplete
		}
		for i, v := range values {
			values[i] = strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == '\t' }), " ")
		}
		b.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	b.WriteString("\n" + names + "\n" + payload)
	sum := sha256.Sum256([]byte(b.String()))
	return awsScheme + "\n" + sc.time + "\n" + sc.date + "/" + sc.region + "/" + sc.service + "/aws4_request\n" +
		hex.EncodeToString(sum[:]), nil
}

func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	var pairs [][2]string
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, [2]string{awsEscape(unescape(name), false), awsEscape(unescape(value), false)})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0] + "=" + p[1])
	}
	return b.String()
}

// unescape does not take + for a blank, as AWS does not.
func unescape(s string) string {
	if v, err := url.PathUnescape(s); err == nil {
		return v
	}
	return s
}

func awsEscape(s string, slashes bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0, c == '/' && slashes:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// signingKey derives the key for a scope from a secret.
func (sc *scope) signingKey(secret string) []byte {
	key := mac([]byte("AWS4"+secret), sc.date)
	for _, s := range []string{sc.region, sc.service, "aws4_request"} {
		key = mac(key, s)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
