package cli

import (
	"context"
	"strings"

	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/internal/moefile"
)

// serving says where an Envoy listens, as URLs.
func serving(ctx context.Context, p *envoy.Process, listeners []bootstrap.Listener) (string, error) {
	var urls []string
	for _, l := range listeners {
		addr, err := p.Listener(ctx, l.Name)
		if err != nil {
			return "", err
		}
		urls = append(urls, scheme(&l)+"://"+addr)
	}
	return strings.Join(urls, ", "), nil
}

// scheme is that of a listener's URL.
func scheme(l *bootstrap.Listener) string {
	switch {
	case l.UDP != nil:
		return "udp"
	case l.TCP != nil:
		return "tcp"
	case l.TLS != nil:
		return "https"
	}
	return "http"
}

// served says where requests go that match no route.
func served(f *moefile.File) string {
	switch {
	case f.Echo:
		return "the echo server"
	case f.Upstream == "":
		return "the upstreams of its routes"
	}
	return f.Upstream
}
