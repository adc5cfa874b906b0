package authz

import (
	"errors"
	"fmt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// Subject says whom a request is from, by the name that rules use.
type Subject struct {
	// From is where the name is found: consumer (its name), header, metadata (as a claim that an authentication plugin
	// has put there), principal (the URI in the client's certificate) or source (the client's IP address).
	From string `json:"from" default:"consumer" enum:"consumer,header,metadata,principal,source"`
	// Header is the name of the header, for from: header.
	Header string `json:"header"`
	// Namespace is that of dynamic metadata, for from: metadata.
	Namespace string `json:"namespace"`
	// Key is the value's name in it, for from: metadata.
	Key string `json:"key"`
	// Default is the subject of requests without a name. If it is empty, they are denied.
	Default string `json:"default"`
}

// Validate checks that From has the fields that it needs, and no others.
func (s *Subject) Validate() error {
	var errs []error
	need := func(field, value, from string) {
		switch {
		case s.From == from && value == "":
			errs = append(errs, fmt.Errorf("subject.%s: is required with from: %s", field, from))
		case s.From != from && value != "":
			errs = append(errs, fmt.Errorf("subject.%s: is for from: %s only", field, from))
		}
	}
	need("header", s.Header, "header")
	need("namespace", s.Namespace, "metadata")
	need("key", s.Key, "metadata")
	if s.Header != "" {
		if err := fieldname.Check(s.Header); err != nil {
			errs = append(errs, fmt.Errorf("subject.header: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Name returns the subject of r, or Default. A header that comes more than once is ignored.
func (s *Subject) Name(m *Mode, r *Request) (name string, err error) {
	switch s.From {
	case "", "consumer":
		name = r.Consumer().Name
	case "header":
		if v := r.Headers.Values(s.Header); len(v) == 1 {
			name = valid(v[0])
		}
	case "principal":
		name = r.Principal()
	case "source":
		if a := m.Source(r).Addr(); a.IsValid() {
			name = a.WithZone("").String()
		}
	case "metadata":
		v, err := r.Stream.Metadata(s.Namespace, s.Key)
		if err != nil && !errors.Is(err, filter.ErrNotFound) {
			return "", fmt.Errorf("metadata %s of %s: %w", s.Key, s.Namespace, err)
		}
		if text, ok := v.(string); ok {
			name = text
		} else if v != nil {
			return "", fmt.Errorf("metadata %s of %s is not a string", s.Key, s.Namespace)
		}
	}
	if name == "" {
		return s.Default, nil
	}
	return name, nil
}

// NoSubject is the verdict on a request whose subject has no name.
var NoSubject = Verdict{Reason: "the request has no subject"}
