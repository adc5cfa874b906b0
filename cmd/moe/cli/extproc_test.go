package cli

import (
	"strings"
	"testing"

	"mosn.io/moe/internal/envoy"
)

func TestExtprocConfig(t *testing.T) {
	for _, c := range []struct {
		file, flags string
		want, not   []string
	}{
		{
			"plugins: [{name: hello}]", "",
			[]string{"request_header_mode: SKIP", "response_header_mode: SEND", "port_value: 9000", "allow_mode_override: true"},
			[]string{"FULL_DUPLEX_STREAMED", "failure_mode_allow"},
		},
		{
			"plugins: [{name: passthrough}]\nroutes: [{name: r, match: {prefix: /x}}]",
			"--failure-mode-allow --metadata my.space --attribute request.time --address 10.0.0.1:9 --max-message-timeout 5s",
			[]string{
				"request_body_mode: FULL_DUPLEX_STREAMED", "response_trailer_mode: SEND", "failure_mode_allow: true",
				"- my.space", "- request.time", "address: 10.0.0.1", "max_message_timeout: 5s", "name: r", "- xds.route_name",
			},
			[]string{"allow_mode_override"},
		},
		{"plugins: [{name: hello}]", "--body full", []string{"response_body_mode: FULL_DUPLEX_STREAMED"}, nil},
		{"plugins: [{name: hello}]", "--request-headers", []string{"request_header_mode: SEND"}, nil},
	} {
		t.Run(c.file, func(t *testing.T) {
			args := append([]string{"extproc", "-c", write(t, c.file), "--print-config"}, strings.Fields(c.flags)...)
			status, out, err := moe(t, args...)
			if status != 0 {
				t.Errorf("%s: moe(args): status = %d, want 0: %s", c.flags, status, err)
				return
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%s: no %q in\n%s", c.flags, w, out)
				}
			}
			for _, n := range c.not {
				if strings.Contains(out, n) {
					t.Errorf("%s: %q in\n%s", c.flags, n, out)
				}
			}
			if err := envoy.Validate(t.Context(), envoy.Options{Config: []byte(out)}); err != nil {
				t.Errorf("%s: envoy.Validate: %v", c.flags, err)
			}
		})
	}
}

func TestExtprocRefused(t *testing.T) {
	for _, c := range []struct{ file, flags, want string }{
		{"plugins: [{name: nonesuch}]", "", "plugins[0]"},
		{"plugins: [{name: hello, config: {valu: 1}}]", "--print-config", "plugins[0].config"},
		{"plugins: [{name: hello}]\nroutes: [{match: {prefix: /x}, plugins: [{name: hello, config: {valu: 1}}]}]", "", "route-0"},
		{"plugins: [{name: hello}]", "--print-config --body some", "--body"},
		{"plugins: [{name: hello}]", "--request-body-mode SOME", "--request-body-mode SOME: give NONE, STREAMED"},
		{"plugins: [{name: passthrough}]", "--request-body-mode NONE", "request_body_mode NONE does not give: set FULL_DUPLEX"},
		{"plugins: [{name: passthrough}]", "--print-config --body none", "response_body_mode NONE does not give: set FULL_DUPLEX"},
		{"plugins: [{name: hello}]", "--log-level loud", "--log-level"},
		{"plugins: [{name: hello}]", "--tls-key k", "TLS"},
	} {
		t.Run(c.file, func(t *testing.T) {
			args := append([]string{"extproc", "-c", write(t, c.file), "--listen", "127.0.0.1:0"}, strings.Fields(c.flags)...)
			status, _, err := moe(t, args...)
			if status != 1 || !strings.Contains(err, c.want) {
				t.Errorf("%s %s: moe(args): status = %d, want 1; stderr = %q, want it to contain %q",
					c.file, c.flags, status, err, c.want)
			}
		})
	}
}
