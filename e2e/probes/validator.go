package probes

import (
	"os"
	"runtime"
	"strconv"

	"mosn.io/moe/framework/certvalidator"
)

// CertValidator is a certificate validator that does what the common name of the peer's certificate says.
type CertValidator struct {
	Closed string `json:"closed"` // a file: while it is there, all certificates are refused

	env  *certvalidator.Env
	kept certvalidator.Handshake
}

func init() { certvalidator.Register[CertValidator]("probe") }

// Provision keeps the environment.
func (v *CertValidator) Provision(env *certvalidator.Env) error {
	v.env = env
	return nil
}

// SessionContext says whether all certificates are refused.
func (v *CertValidator) SessionContext() []byte {
	_, err := os.Stat(v.Closed)
	return strconv.AppendBool(nil, err == nil)
}

// Verify leaves the name in the filter state, and does what it says.
func (v *CertValidator) Verify(h certvalidator.Handshake) certvalidator.Verdict {
	if _, err := os.Stat(v.Closed); v.Closed != "" && err == nil {
		return certvalidator.Refuse("closed")
	}
	certs, err := h.Certificates()
	if err != nil {
		return certvalidator.Refuse(err.Error()).WithAlert(certvalidator.BadCertificate)
	}
	name := certs[0].Subject.CommonName
	if err := h.SetFilterState("probe.name", name); err != nil {
		v.env.Log().Info("no filter state", "error", err)
	} else if err := h.SetFilterState("probe.name", "twice"); err == nil {
		return certvalidator.Refuse("the filter state was set twice")
	} else if got, err := h.FilterState("probe.name"); err != nil || got != name {
		return certvalidator.Refuse("the filter state is " + got)
	}
	switch name {
	case "accept":
		return certvalidator.Accept()
	case "unvalidated":
		return certvalidator.AcceptUnvalidated()
	case "revoked":
		return certvalidator.Refuse("revoked, of " + h.ServerName() + " to server " + strconv.FormatBool(h.IsServer())).
			WithAlert(certvalidator.CertificateRevoked)
	case "panic":
		panic("as told")
	case "exit":
		runtime.Goexit()
	case "hang":
		<-v.env.Context().Done()
	case "keep": // the handle of the handshake before is over
		if v.kept != (certvalidator.Handshake{}) {
			if err := v.kept.SetFilterState("probe.late", "x"); err != certvalidator.ErrHandshakeOver {
				return certvalidator.Refuse("a handle that is over is still good")
			}
		}
		v.kept = h
		return certvalidator.Accept()
	}
	return certvalidator.Verdict{}
}
