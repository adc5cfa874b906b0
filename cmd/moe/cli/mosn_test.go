package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMOSNInclude converts a file whose clusters are in a folder beside its own, which only --include lets the command read.
func TestMOSNInclude(t *testing.T) {
	top := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatalf("os.MkdirAll: %v", err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		return file
	}
	put("clusters/up.json", `{"name": "up", "type": "SIMPLE", "hosts": [{"address": "127.0.0.1:81"}]}`)
	file := put("conf/mosn_config.json", `{"servers": [{"listeners": [{"name": "l", "address": "127.0.0.1:80", "bind_port": true,
		"filter_chains": [{"filters": [{"type": "tcp_proxy", "config": {"cluster": "up"}}]}]}]}],
		"cluster_manager": {"clusters_configs": "`+filepath.Join(top, "clusters")+`"}}`)
	for _, c := range []struct {
		name   string
		flags  []string
		status int
		out    string // in what is printed
		err    string // in what is reported
	}{
		{name: "without", status: 1, err: "cluster_manager.clusters_configs"},
		{name: "of another folder", flags: []string{"--include", filepath.Join(top, "conf")}, status: 1, err: "--include"},
		{name: "of the folder", flags: []string{"--include", filepath.Join(top, "clusters")}, out: "port_value: 81"},
		{
			name: "of several", flags: []string{"--include", t.TempDir(), "--include", top}, out: "port_value: 81",
		},
		{
			name: "of a folder that is not there", flags: []string{"--include", filepath.Join(top, "clustres")}, status: 1,
			err: "not within",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := moe(t, append([]string{"mosn", "convert", file}, c.flags...)...)
			if status != c.status || !strings.Contains(stdout, c.out) || !strings.Contains(stderr, c.err) {
				t.Errorf("got status %d, %q and %q; want %d, %q and %q in them", status, stdout, stderr, c.status, c.out, c.err)
			}
			if c.status != 0 && stdout != "" {
				t.Errorf("a configuration that cannot be converted prints %q", stdout)
			}
		})
	}
}
