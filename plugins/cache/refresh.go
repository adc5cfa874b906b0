package cache

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// refreshTimeout is how long a request in the background may take.
const refreshTimeout = 30 * time.Second

// background revalidates an entry without the client waiting, as the first of those who ask for it. It reports whether it
// does, and lands the flight then.
func (p *Cache) background(r *request, e *entry, fl *flight) bool {
	copied := *r
	copied.control = nil // the client's is about its own request: this one is the cache's
	return p.env.Go(func(ctx context.Context) {
		defer p.flights.land(fl)
		ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
		defer cancel()
		p.counts.refreshed.Inc()
		if err := p.fetch(ctx, &copied, e); err != nil && ctx.Err() == nil {
			p.env.Log().Warn("a response cannot be refreshed", "error", err)
		}
	})
}

// fetch asks the cluster and stores what it answers.
func (p *Cache) fetch(ctx context.Context, r *request, e *entry) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: r.scheme, Host: r.host, Path: "/"}).String(), nil)
	if err != nil {
		return err
	}
	q.URL.Opaque = r.path // as it came
	q.Host = r.host
	for _, f := range endToEnd(r.fields, nil) {
		if !ofRequest[f.Name] {
			q.Header.Add(f.Name, f.Value)
		}
	}
	conditions(e, func(name, value string) {
		if value != "" {
			q.Header.Set(name, value)
		}
	})
	r.sent, r.begun = p.now(), p.memory.begin()
	w, err := p.refresh.RoundTrip(q)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	all := make(fields, 0, len(w.Header))
	for name, values := range w.Header {
		for _, v := range values {
			all = append(all, field{strings.ToLower(name), v})
		}
	}
	body, status, now := e.Body, w.StatusCode, p.now()
	if status == http.StatusNotModified {
		status, all = e.Status, e.refreshed(all)
		p.counts.revalidated.Inc()
	} else if body, err = io.ReadAll(io.LimitReader(w.Body, int64(p.MaxObject)+1)); err != nil {
		return err
	}
	fresh, why := p.judge(&r.asked, status, all, now)
	if why == "" && len(body) > int(p.MaxObject) {
		why = notLarge
	}
	if why != "" {
		p.counts.unstored.With(why).Inc()
		if !failed(status) { // there is something else now
			p.invalidate([]string{r.uri()})
		}
		return nil
	}
	if failed(status) && mayReplaceError(e, r.control, now) {
		return nil
	}
	fresh.Body = body
	p.store(r, fresh)
	return nil
}

// ofRequest are fields that are about the request of the client and not about what it asks for.
var ofRequest = map[string]bool{
	"range": true, "if-range": true, "if-none-match": true, "if-modified-since": true, "if-match": true,
	"if-unmodified-since": true, "content-length": true, "expect": true, "cache-control": true, "pragma": true,
}
