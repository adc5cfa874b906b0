package assembly

import (
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

const genericSecrets = document.GenericSecretsField

// GenericSecret is one of Envoy's generic secrets that a filter's document lists.
type GenericSecret struct {
	Path   string         // in the document
	Name   string         // not empty, and unique
	Source map[string]any // a config.core.v3.ConfigSource; nil: the secret is a static one, of Envoy's bootstrap
}

// Secrets returns those that the document lists, in that order. What they are is for the host to find out.
func (f *Filter) Secrets() []GenericSecret { return f.doc.generic }

// genericSecrets checks the list of a document, which has one where raw is not nil.
func (r *reading) genericSecrets(raw []document.GenericSecret, l level) (list []GenericSecret) {
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
			r.fail(at+".name", "duplicate secret name %s", quoted(s.Name))
		default:
			seen[s.Name] = true
			list = append(list, GenericSecret{Path: at, Name: s.Name, Source: s.SDSConfig})
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
