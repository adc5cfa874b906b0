package opa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/reload"
)

// maxBundle is how long a packed bundle may be, and a file in it.
const maxBundle = 128 << 20

func (b *Bundle) check() (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("bundle."+format, args...)) }
	switch {
	case b.File == "" && b.URL == nil:
		fail("file: is required, or url")
	case b.File != "" && b.URL != nil:
		fail("file and url are mutually exclusive")
	case b.URL != nil:
		if err := b.Check(b.URL); err != nil {
			fail("url: %w", err)
		}
	}
	if b.Interval < 10*time.Millisecond {
		fail("interval: must be 10ms at least")
	}
	if err := b.Connection.Validate(); err != nil {
		fail("%w", err)
	}
	if a := b.Algorithm; a != "" && !strings.Contains(" RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 HS256 HS384 HS512 ", " "+a+" ") {
		fail("algorithm: expected a JWS algorithm such as RS256")
	}
	return errs
}

// follow loads the bundle and goes on to do so. A server that does not answer must not keep Envoy from starting:
// decisions wait for the first bundle, up to their time-out.
func (p *OPA) follow(env *filter.Env, policy *local, query string) error {
	take := func(data []byte) error {
		prepared, err := p.Bundle.compile(query, p.StrictErrors, data)
		if err == nil {
			policy.use(prepared)
		}
		return err
	}
	if p.Bundle.URL == nil {
		return p.Follow(env, nil, []string{p.Bundle.File}, func(files []reload.File) error {
			if len(files) != 1 {
				return errors.New("bundle.file: must be a file made by `opa build`")
			}
			return take(files[0].Data)
		})
	}
	client, done, err := p.Bundle.Client(env)
	if err != nil {
		return fmt.Errorf("bundle.%w", err)
	}
	reloaded, failed := env.Counter("reloaded"), env.Counter("reload_failed")
	if !env.Go(func(ctx context.Context) {
		defer done()
		d := &download{b: p.Bundle, client: client}
		wait := time.Duration(0)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			changed, err := d.get(ctx, take)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				failed.Inc()
				env.Log().Error("cannot load the bundle; what was loaded before stays", "error", err)
				wait = min(max(2*wait, 100*time.Millisecond), p.Bundle.Interval)
				continue
			case changed:
				reloaded.Inc()
				env.Log().Info("loaded a bundle")
			}
			wait = p.Bundle.Interval
		}
	}) {
		done()
	}
	return nil
}

// download asks a server for a bundle again and again.
type download struct {
	b      *Bundle
	client *http.Client
	etag   string
}

// get has take the bundle if it is another one than before.
func (d *download) get(ctx context.Context, take func([]byte) error) (changed bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.b.URL.String(), nil)
	if err != nil {
		return false, err
	}
	if t := d.b.Token.Reveal(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	if d.etag != "" {
		r.Header.Set("If-None-Match", d.etag)
	}
	resp, err := d.client.Do(r)
	if err != nil {
		return false, outbound.Plain(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		return false, nil
	case http.StatusOK:
	default:
		return false, fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	data, err := outbound.ReadAll(resp.Body, maxBundle)
	if err != nil {
		return false, outbound.Plain(err)
	}
	if err := guard.Do(func() error { return take(data) }); err != nil {
		return false, err
	}
	d.etag = resp.Header.Get("ETag")
	return true, nil
}

// compile prepares the query on a bundle.
func (b *Bundle) compile(query string, strict bool, data []byte) (*rego.PreparedEvalQuery, error) {
	x, err := b.unpack(data, maxBundle)
	if err != nil {
		return nil, err
	}
	return prepare(query, strict, rego.ParsedBundle("bundle", x))
}

// unpack reads a bundle, whose files are of limit bytes at most.
func (b *Bundle) unpack(data []byte, limit int64) (*bundle.Bundle, error) {
	in := bundle.NewReader(bytes.NewReader(data)).WithSizeLimitBytes(limit)
	if key := b.VerifyWith.Reveal(); key != "" {
		algorithm := b.Algorithm
		if algorithm == "" {
			algorithm = "RS256"
		}
		keys := map[string]*bundle.KeyConfig{"key": {Key: key, Algorithm: algorithm}}
		in = in.WithBundleVerificationConfig(bundle.NewVerificationConfig(keys, "key", b.Scope, nil))
	} else {
		in = in.WithSkipBundleVerification(true)
	}
	x, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("the bundle: %w", err)
	}
	if x.Type() != bundle.SnapshotBundleType {
		return nil, errors.New("the bundle is a delta; use a snapshot")
	}
	return &x, nil
}

func errorAs(err error) (*topdown.Error, bool) {
	var e *topdown.Error
	return e, errors.As(err, &e)
}
