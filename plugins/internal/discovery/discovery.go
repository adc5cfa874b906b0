// Package discovery reads what issuers of tokens say of themselves: OpenID Connect Discovery 1.0, and RFC 8414.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/outbound"
)

// Every is how often what an issuer says of itself is read anew.
const Every = time.Hour

const (
	maxDocument = 1 << 20          // bytes
	longestWait = 30 * time.Second // between two tries
)

// Document is what an issuer says of itself.
type Document struct{ members []claims.Member }

// URL returns an address in the document, which check may refuse.
func (d *Document) URL(name string, check func(*url.URL) error) (*url.URL, error) {
	text, ok := claims.Str(claims.Find(d.members, name))
	if !ok {
		return nil, fmt.Errorf("what the issuer says of itself has no %s", name)
	}
	u, err := url.Parse(text)
	if err == nil {
		err = check(u)
	}
	if err != nil {
		return nil, fmt.Errorf("the issuer's %s: %w", name, err)
	}
	return u, nil
}

// Read reads the document of an issuer: that of OpenID Connect, or else that of RFC 8414. It must name the same
// issuer, character by character.
func Read(ctx context.Context, client *http.Client, issuer *url.URL) (*Document, error) {
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	var errs []error
	for _, p := range []string{
		path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path,
	} {
		d, err := read(ctx, client, &url.URL{Scheme: issuer.Scheme, Host: issuer.Host, Path: p}, issuer.String())
		if err == nil {
			return d, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p, err))
	}
	return nil, errors.Join(errs...)
}

func read(ctx context.Context, client *http.Client, from *url.URL, issuer string) (*Document, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, outbound.Plain(err)
	}
	q.Header.Set("accept", "application/json")
	w, err := client.Do(q)
	if err != nil {
		return nil, outbound.Plain(err)
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the status is %d", w.StatusCode)
	}
	text, err := outbound.ReadAll(w.Body, maxDocument)
	if err != nil {
		return nil, outbound.Plain(err)
	}
	d := &Document{}
	if d.members, err = claims.Object(nil, text); err != nil {
		return nil, fmt.Errorf("the answer %w", err)
	}
	if said, _ := claims.Str(claims.Find(d.members, "issuer")); said != issuer {
		return nil, errors.New("the document is another issuer's")
	}
	return d, nil
}

// Follow calls find now, and again and again: after an error, for which it calls failed, after 1 s, 2 s, 4 s and so on up to half
// a minute; otherwise after every. It returns when ctx ends.
func Follow(ctx context.Context, every time.Duration, find func(ctx context.Context) error, failed func(error)) {
	backoff := time.Second
	for {
		next := every
		if err := guard.Do(func() error { return find(ctx) }); err == nil {
			backoff = time.Second
		} else if ctx.Err() == nil {
			failed(err)
			next, backoff = backoff, min(2*backoff, longestWait)
		}
		timer := time.NewTimer(next + time.Duration(rand.Int64N(int64(next)/10))) // so that not all Envoys ask at once
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
