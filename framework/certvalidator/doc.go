// Package certvalidator is what the author of a certificate validator imports. A certificate validator decides, in a TLS
// handshake, whether Envoy trusts the certificate of the other side: a client's at a listener, a server's in a cluster.
//
//	type Pinned struct {
//		SHA256 []string `json:"sha256" validate:"required"`
//	}
//
//	func init() { certvalidator.Register[Pinned]("pinned") }
//
//	func (p *Pinned) Verify(h certvalidator.Handshake) certvalidator.Verdict {
//		if sum := sha256.Sum256(h.Raw()[0]); slices.Contains(p.SHA256, hex.EncodeToString(sum[:])) {
//			return certvalidator.Accept()
//		}
//		return certvalidator.Refuse("this certificate is not pinned")
//	}
//
// The struct is the configuration. It is decoded, checked and provisioned as a plugin's is: strictly, with defaults,
// `validate` tags, [Validator], [Provisioner] and io.Closer.
//
// Envoy asks a validator in place of its own checks: what Verify does not look at, nobody does. Envoy runs validators
// where it runs dynamic modules, as the custom_validator_config of a validation context; docs/certificate-validators.md
// shows the configuration.
package certvalidator
