package spiffe

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

var (
	errRevoked = errors.New("is revoked")
	errUnknown = errors.New("may be revoked")
)

// skew is how much our clock may be behind that of an authority.
const skew = 5 * time.Minute

// check returns nil if, in one of the chains, no certificate below the root is revoked, or may be though that must be known.
func (t *trust) check(chains [][]*x509.Certificate, now time.Time, required bool) (err error) {
	for _, chain := range chains {
		if err = t.checkChain(chain, now, required); err == nil {
			return nil
		}
	}
	return err
}

func (t *trust) checkChain(chain []*x509.Certificate, now time.Time, required bool) error {
	for i := range len(chain) - 1 {
		if err := t.status(chain[i], chain[i+1], now, required || mustStaple(chain[i])); err != nil {
			return fmt.Errorf("the certificate with serial number %x %w", chain[i].SerialNumber, err)
		}
	}
	return nil
}

// status asks responses and lists of a certificate's issuer. Of each kind the newest counts. One that says that a certificate
// is revoked is right for ever; that it is not, until the next update. Where all are out of date, somebody may keep the next
// one from us, so that counts as not knowing where that must be known.
func (t *trust) status(cert, issuer *x509.Certificate, now time.Time, required bool) error {
	known := false
	for _, says := range []statement{t.newestResponse(cert, issuer, now), t.newestList(cert, issuer, now)} {
		switch {
		case !says.exists:
			continue
		case says.revoked:
			return errRevoked
		case now.After(says.next):
			required = true
		default:
			known = true
		}
	}
	if required && !known {
		return fmt.Errorf("%w: there is no valid revocation list or OCSP response", errUnknown)
	}
	return nil
}

// statement is what a response or list says of a certificate.
type statement struct {
	exists, revoked bool
	next            time.Time // it holds until then
}

// tlsFeature is the extension of RFC 7633, and statusRequest the feature by which a certificate asks for OCSP stapling.
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

const statusRequest = 5

// mustStaple reports whether a certificate is not to be trusted without an OCSP response. Envoy asks peers for none, and
// hands none over, so one of our files has to do.
func mustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(tlsFeature) {
			continue
		}
		var features []int
		if _, err := asn1.Unmarshal(e.Value, &features); err != nil {
			return true
		}
		return slices.Contains(features, statusRequest)
	}
	return false
}

// list is a revocation list.
type list struct {
	*x509.RevocationList
	revoked map[string]bool // by serial number
	signed  sync.Map        // whether it is signed by a certificate's key, by the certificate's bytes: few, as all are authorities
}

// addLists reads the lists of a file.
func (t *trust) addLists(data []byte) error {
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		return t.addList(data)
	}
	some := false
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return fmt.Errorf("expected X509 CRL in PEM, not %q", block.Type)
		}
		some = true
		if err := t.addList(block.Bytes); err != nil {
			return err
		}
	}
	if !some {
		return errors.New("expected X509 CRL in PEM")
	}
	return nil
}

func (t *trust) addList(der []byte) error {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("expected a revocation list: %w", err)
	}
	if l.NextUpdate.IsZero() {
		return errors.New("the revocation list does not say until when it holds (nextUpdate)")
	}
	if err := understood(l.Extensions); err != nil {
		return err
	}
	own := &list{RevocationList: l, revoked: map[string]bool{}}
	for _, e := range l.RevokedCertificateEntries {
		if err := understood(e.Extensions); err != nil {
			return err
		}
		own.revoked[string(e.SerialNumber.Bytes())] = true
	}
	t.lists = append(t.lists, own)
	return nil
}

// understood refuses what changes the meaning of a list: it may be of some certificates only, or of changes only.
func understood(all []pkix.Extension) error {
	for _, e := range all {
		if e.Critical {
			return fmt.Errorf("the revocation list has the critical extension %v, which is not supported: a full list of one authority is",
				e.Id)
		}
	}
	return nil
}

// newestList returns what the newest list of an issuer says.
func (t *trust) newestList(cert, issuer *x509.Certificate, now time.Time) (s statement) {
	for _, l := range t.lists {
		if bytes.Equal(l.RawIssuer, issuer.RawSubject) && !l.ThisUpdate.After(now.Add(skew)) && l.isSigned(issuer) {
			return statement{exists: true, revoked: l.revoked[string(cert.SerialNumber.Bytes())], next: l.NextUpdate}
		}
	}
	return s
}

func (l *list) isSigned(by *x509.Certificate) bool {
	if v, ok := l.signed.Load(string(by.Raw)); ok {
		return v.(bool)
	}
	ok := l.CheckSignatureFrom(by) == nil
	l.signed.Store(string(by.Raw), ok)
	return ok
}

// sort puts the newest first.
func (t *trust) sort() {
	slices.SortStableFunc(t.lists, func(a, b *list) int { return b.ThisUpdate.Compare(a.ThisUpdate) })
	for _, all := range t.responses {
		slices.SortStableFunc(all, func(a, b *response) int { return b.ThisUpdate.Compare(a.ThisUpdate) })
	}
}
