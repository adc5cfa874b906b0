package certvalidator

import (
	"strings"
	"unicode"
)

// Verdict is what [Verifier] decides. The zero Verdict refuses the certificate, as one that nobody has decided about.
type Verdict struct {
	outcome outcome
	reason  string
	alert   Alert
}

type outcome uint8

const (
	refused outcome = iota
	accepted
	acceptedUnvalidated
)

// noVerdict is the reason of the zero Verdict.
const noVerdict = "the validator gave no verdict"

// Accept has the handshake go on. Envoy takes the certificate for validated.
func Accept() Verdict { return Verdict{outcome: accepted} }

// AcceptUnvalidated has the handshake go on, though the certificate proves nothing: to Envoy it is not validated, which
// access loggers and matchers can tell. But Envoy still reads names from it, so whatever trusts those names, such as the
// header x-forwarded-client-cert or Envoy's RBAC filter, trusts what the peer has made up.
func AcceptUnvalidated() Verdict { return Verdict{outcome: acceptedUnvalidated} }

// Refuse ends the handshake. The reason is for the operator: it is in Envoy's log, and from Envoy 1.39 on in the transport
// failure reason of access logs. The peer sees the alert only. Of the reason, 512 bytes are kept, and control characters
// are replaced, as a peer's names may be part of it.
func Refuse(reason string) Verdict {
	const most = 512
	if len(reason) > most {
		reason = reason[:most]
	}
	reason = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(reason, "?"))
	return Verdict{reason: reason}
}

// WithAlert returns v with the alert that the peer gets if the certificate is refused. Without one it is
// [CertificateUnknown].
func (v Verdict) WithAlert(a Alert) Verdict {
	v.alert = a
	return v
}

// Accepted reports whether the handshake goes on.
func (v Verdict) Accepted() bool { return v.outcome != refused }

// Validated reports whether the certificate counts as validated.
func (v Verdict) Validated() bool { return v.outcome == accepted }

// Reason is why the certificate is refused; "" if it is not.
func (v Verdict) Reason() string {
	if v.outcome == refused && v.reason == "" {
		return noVerdict
	}
	return v.reason
}

// Alert is what the peer gets if the certificate is refused.
func (v Verdict) Alert() Alert {
	if v.alert == 0 {
		return CertificateUnknown
	}
	return v.alert
}

// Alert is a TLS alert (RFC 8446, section 6.2): what the peer gets to know of a refusal.
type Alert uint8

// Alerts about certificates.
const (
	BadCertificate         Alert = 42 // it is corrupt, or its signature is
	UnsupportedCertificate Alert = 43 // it is of the wrong kind
	CertificateRevoked     Alert = 44
	CertificateExpired     Alert = 45 // or not valid yet
	CertificateUnknown     Alert = 46 // anything else
	UnknownCA              Alert = 48 // no trusted authority has issued it
	AccessDenied           Alert = 49 // it is valid, and its holder may not come in
	InternalError          Alert = 80 // the validator failed
)
