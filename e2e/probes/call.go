package probes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// call makes an HTTP request over an Envoy cluster; ${last} is "STATUS LENGTH SHA256-PREFIX HEADER BODY" or the error.
func call(r *run, a []string) {
	ctx := filterContext(r)
	r.last = callout(ctx, r.e.env, a)
}

func filterContext(r *run) context.Context { return r.s.Context() }

func background(r *run, a []string) {
	env := r.e.env
	Live.Goroutines.Add(1)
	env.Go(func(ctx context.Context) {
		defer Live.Goroutines.Add(-1)
		Background.Store(env.ID, callout(ctx, env, a))
	})
}

func callout(ctx context.Context, env *filter.Env, a []string) string {
	rt, err := env.Transport(a[0])
	if err != nil {
		return "error: transport: " + err.Error()
	}
	var body io.Reader
	if len(a) > 3 && a[3] != "" {
		body = strings.NewReader(a[3])
	}
	if len(a) > 4 {
		d, _ := time.ParseDuration(a[4])
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, a[1], "http://callout.test"+a[2], body)
	if err != nil {
		return "error: " + err.Error()
	}
	req.Header.Set("x-callout", "1")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "error: " + err.Error()
	}
	defer resp.Body.Close()
	sum := sha256.New()
	var head strings.Builder
	n, err := io.Copy(io.MultiWriter(sum, limited{&head}), resp.Body)
	if err != nil {
		return fmt.Sprintf("error: body after %d bytes: %v", n, err)
	}
	return fmt.Sprintf("%d %d %s %s %s", resp.StatusCode, n, hex.EncodeToString(sum.Sum(nil))[:8],
		resp.Header.Get("x-upstream-path"), head.String())
}

// limited cuts a text to what fits in a header.
type limited struct{ b *strings.Builder }

func (l limited) Write(p []byte) (int, error) {
	if room := 200 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
