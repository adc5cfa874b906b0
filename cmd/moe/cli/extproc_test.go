package cli

import (
	"strings"
	"testing"

	"mosn.io/moe/internal/envoy"
)

func TestExtprocConfig(t *testing.T) {
	for _, c := range []struct {
		name, file, flags string
		want, not         []string
	}{
		{
			name: "without options", file: "plugins: [{name: hello}]",
			want: []string{"request_header_mode: SKIP", "response_header_mode: SEND", "port_value: 9000", "allow_mode_override: true"},
			not:  []string{"FULL_DUPLEX_STREAMED", "failure_mode_allow"},
		},
		{
			name:  "with every option",
			file:  "plugins: [{name: passthrough}]\nroutes: [{name: r, match: {prefix: /x}}]",
			flags: "--failure-mode-allow --metadata my.space --attribute request.time --address 10.0.0.1:9 --max-message-timeout 5s",
			want: []string{
				"request_body_mode: FULL_DUPLEX_STREAMED", "response_trailer_mode: SEND", "failure_mode_allow: true",
				"- my.space", "- request.time", "address: 10.0.0.1", "max_message_timeout: 5s", "name: r", "- xds.route_name",
			},
			not: []string{"allow_mode_override"},
		},
		{
			name: "whole bodies", file: "plugins: [{name: hello}]", flags: "--body full",
			want: []string{"response_body_mode: FULL_DUPLEX_STREAMED"},
		},
		{
			name: "request headers", file: "plugins: [{name: hello}]", flags: "--request-headers",
			want: []string{"request_header_mode: SEND"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"extproc", "-c", write(t, c.file), "--print-config"}, strings.Fields(c.flags)...)
			status, out, err := moe(t, args...)
			if status != 0 {
				t.Errorf("%s: got status %d and %q, want 0", c.flags, status, err)
				return
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%s: the configuration lacks %q:\n%s", c.flags, w, out)
				}
			}
			for _, n := range c.not {
				if strings.Contains(out, n) {
					t.Errorf("%s: the configuration has %q, want it without:\n%s", c.flags, n, out)
				}
			}
			if err := envoy.Validate(t.Context(), envoy.Options{Config: []byte(out)}); err != nil {
				t.Errorf("%s: envoy.Validate: %v", c.flags, err)
			}
		})
	}
}

func TestExtprocRefused(t *testing.T) {
	for _, c := range []struct{ name, file, flags, want string }{
		{name: "unknown plugin", file: "plugins: [{name: nonesuch}]", want: "plugins[0]"},
		{
			name: "misspelt field", file: "plugins: [{name: hello, config: {valu: 1}}]", flags: "--print-config",
			want: "plugins[0].config",
		},
		{
			name: "misspelt field on a route",
			file: "plugins: [{name: hello}]\nroutes: [{match: {prefix: /x}, plugins: [{name: hello, config: {valu: 1}}]}]",
			want: "moe.yaml:2:65: routes[0].plugins[0].config.valu",
		},
		{
			name: "unknown body mode", file: "plugins: [{name: hello}]", flags: "--print-config --body some",
			want: "--body",
		},
		{
			name: "unknown request body mode", file: "plugins: [{name: hello}]", flags: "--request-body-mode SOME",
			want: "--request-body-mode SOME: give NONE, STREAMED",
		},
		{
			name: "a request body that the mode withholds", file: "plugins: [{name: passthrough}]",
			flags: "--request-body-mode NONE", want: "request_body_mode NONE does not give: set FULL_DUPLEX",
		},
		{
			name: "a response body that the mode withholds", file: "plugins: [{name: passthrough}]",
			flags: "--print-config --body none", want: "response_body_mode NONE does not give: set FULL_DUPLEX",
		},
		{name: "unknown log level", file: "plugins: [{name: hello}]", flags: "--log-level loud", want: "--log-level"},
		{name: "a key without a certificate", file: "plugins: [{name: hello}]", flags: "--tls-key k", want: "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"extproc", "-c", write(t, c.file), "--listen", "127.0.0.1:0"}, strings.Fields(c.flags)...)
			status, _, err := moe(t, args...)
			if status != 1 || !strings.Contains(err, c.want) {
				t.Errorf("%s %s: got status %d and %q, want 1 and %q", c.file, c.flags, status, err, c.want)
			}
		})
	}
}
