package assembly

import (
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// genericSecrets is the field of a document that lists Envoy's secrets; it has the form of the field of that name of
// Envoy's Golang filter, a list of extensions.transport_sockets.tls.v3.SdsSecretConfig.
const genericSecrets = "generic_secrets"

// GenericSecret is one of Envoy's that a filter's document lists.
type GenericSecret struct {
	Path   string         // in the document
	Name   string         // not empty, and there once
	Source map[string]any // a config.core.v3.ConfigSource; nil: the secret is a static one, of Envoy's bootstrap
}

type rawSecret struct {
	Name   string         `json:"name"`
	Source map[string]any `json:"sds_config"`
}

// Secrets returns those that the document lists, in that order. What they are is for the host to find out.
func (f *Filter) Secrets() []GenericSecret { return f.doc.secrets }

// secrets checks the list of a document, which has one where raw is not nil.
func (r *reading) secrets(raw []rawSecret, l level) (list []GenericSecret) {
	if raw != nil && l != ofFilter {
		r.fail(genericSecrets, "belongs to the filter, whose streams may ask for all of them; list them there")
		return nil
	}
	seen := map[string]bool{}
	for i, s := range raw {
		at := config.Index(genericSecrets, i)
		switch {
		case r.has(at) || r.has(at+".name") || r.has(at+".sds_config"):
		case s.Name == "":
			r.fail(at+".name", "is required: the name of a generic secret of Envoy's")
		case seen[s.Name]:
			r.fail(at+".name", "secret %s is there twice; names must differ", quoted(s.Name))
		default:
			seen[s.Name] = true
			list = append(list, GenericSecret{Path: at, Name: s.Name, Source: s.Source})
		}
	}
	return list
}

// noSecrets is why a host with caps takes no list of secrets.
func noSecrets(caps filter.Capability) error {
	if caps&filter.CanReadSecret != 0 {
		return nil
	}
	return config.Errors{{Path: genericSecrets, Msg: "needs Secrets, which this host cannot; docs/hosts.md tells which can"}}
}

// mayListSecrets is noSecrets for a host, which may have another reason.
func mayListSecrets(host core.ConfigHost) error {
	l, ok := host.(core.SecretLister)
	if !ok {
		return noSecrets(capabilities(host))
	}
	if err := l.MayListSecrets(); err != nil {
		return config.Errors{{Path: genericSecrets, Msg: err.Error()}}
	}
	return nil
}
