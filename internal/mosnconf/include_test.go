package mosnconf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	hostFile    = `{"name": "v", "domains": ["*"], "routers": [{"match": {"prefix": "/"}, "route": {"cluster_name": "up"}}]}`
	clusterFile = `{"Name": "up", "type": "SIMPLE", "hosts": [{"address": "127.0.0.1:81"}]}`
)

// tree writes files below a folder of its own, by their paths, and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, text := range files {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatalf("os.MkdirAll: %v", err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	return top
}

// inFolders is the least with its clusters and virtual hosts in folders.
func inFolders(routers, clusters string) string {
	text := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	return `{"servers": [{"routers": [{"router_config_name": "r", "router_configs": ` + text(routers) + `}],
		"listeners": [{"name": "l", "address": "127.0.0.1:80", "bind_port": true, "filter_chains": [{"filters": [
			{"type": "proxy", "config": {"downstream_protocol": "Http1", "upstream_protocol": "Http1", "router_config_name": "r"}}]}]}]}],
		"cluster_manager": {"clusters_configs": ` + text(clusters) + `}}`
}

// TestInclude has clusters and virtual hosts in folders, as MOSN reads them.
func TestInclude(t *testing.T) {
	top := tree(t, map[string]string{
		"conf/r/v.json": hostFile, "conf/c/up.json": clusterFile, "conf/c/empty.json": "", "conf/c/README.md": "not JSON",
	})
	folders := func(read ...string) string {
		result, err := Convert([]byte(inFolders(filepath.Join(top, "conf/r"), filepath.Join(top, "conf/c"))), Below(read...))
		if err != nil {
			t.Fatalf("Convert: %v", err)
		}
		text, err := json.Marshal(result.Bootstrap)
		if err != nil {
			t.Fatalf("json.Marshal: %v", err)
		}
		return string(text)
	}
	want := `"virtual_hosts":[{"domains":["*"],"name":"v","routes":[{"match":{"prefix":"/"},"route":{"cluster":"up","timeout":"60s"}}]}]`
	if got := folders(filepath.Join(top, "conf")); !strings.Contains(got, want) || strings.Count(got, `"cluster_name":"up"`) != 1 {
		t.Errorf("the result has not one cluster and %s:\n%s", want, got)
	}
	if both := folders(filepath.Join(top, "conf/r"), filepath.Join(top, "conf/c")); both != folders(top) {
		t.Error("what is read depends on where the folders may be")
	}
	t.Run("in a connection manager", func(t *testing.T) {
		folder, _ := json.Marshal(filepath.Join(top, "conf/r"))
		in := `{"servers": [{"listeners": [{"name": "l", "address": "127.0.0.1:80", "bind_port": true, "filter_chains": [{"filters": [
			{"type": "proxy", "config": {"downstream_protocol": "Http1", "upstream_protocol": "Http1", "router_config_name": "r"}},
			{"type": "connection_manager", "config": {"router_config_name": "r", "router_configs": ` + string(folder) + `}}]}]}]}],
			"cluster_manager": {"clusters": [` + clusterFile + `]}}`
		if _, err := Convert([]byte(in), Below(top)); err != nil {
			t.Errorf("Convert: %v", err)
		}
	})
	t.Run("by a path from the working directory", func(t *testing.T) {
		t.Chdir(top)
		if _, err := Convert([]byte(inFolders("conf/r", "./conf/c")), Below("conf")); err != nil {
			t.Errorf("Convert: %v", err)
		}
	})
}

// TestIncludeRefuses has folders that must not be read, and files that cannot be.
func TestIncludeRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		files    map[string]string
		link     [2]string // from, and to
		routers  string    // conf/r if ""
		nowhere  bool      // no folder is read
		want     []string
		wantsNot string
	}{
		{name: "no reading", nowhere: true, want: []string{"clusters_configs: folders are not read here"}},
		{name: "a folder elsewhere", routers: "other", want: []string{"routers[0].router_configs: ", "--include"}},
		{name: "a folder that is named as if within", routers: "conf/../other", want: []string{"router_configs: ", "--include"}},
		{name: "no such folder", routers: "conf/none", want: []string{"router_configs: none: no such file"}},
		{name: "a file as a folder", routers: "conf/c/up.json", want: []string{"router_configs: "}},
		{
			name: "a link to elsewhere", link: [2]string{"conf/out", "../other"}, routers: "conf/out",
			want: []string{"router_configs: ", "escapes"},
		},
		{
			name: "a file that is a link to elsewhere", link: [2]string{"conf/r/out.json", "../../other/secret.json"},
			want: []string{"router_configs: ", "escapes"}, wantsNot: "hunter2",
		},
		{name: "not JSON", files: map[string]string{"conf/r/v.json": `{"name": `}, want: []string{`router_configs["v.json"]: `}},
		{
			name: "an unknown field", files: map[string]string{"conf/r/v.json": `{"domain": ["*"]}`},
			want: []string{`router_configs["v.json"].domain: unknown field`, `did you mean "domains"`},
		},
		{
			name:  "a cluster that has no counterpart",
			files: map[string]string{"conf/c/x.json": `{"name": "x", "type": "EDS", "keepalive": {"tick": 1}}`},
			want:  []string{`cluster_manager.clusters_configs["x.json"].type: EDS`, `["x.json"].keepalive: has no counterpart`},
		},
		{
			name: "a cluster twice", files: map[string]string{"conf/c/x.json": clusterFile},
			want: []string{`clusters_configs["x.json"].name: duplicate cluster "up"`},
		},
		{
			name: "a route to nowhere", files: map[string]string{"conf/r/v.json": strings.Replace(hostFile, `"up"`, `"upp"`, 1)},
			want: []string{`router_configs["v.json"].routers[0].route.cluster_name: `, `did you mean "up"`},
		},
		{name: "a folder as a file", files: map[string]string{"conf/r/x.json/y": ""}, want: []string{"x.json is not a file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{
				"conf/r/v.json": hostFile, "conf/c/up.json": clusterFile, "other/v.json": hostFile, "other/secret.json": "hunter2",
			}
			for name, text := range c.files {
				files[name] = text
			}
			top := tree(t, files)
			if c.link[0] != "" {
				if err := os.Symlink(c.link[1], filepath.Join(top, c.link[0])); err != nil {
					t.Fatalf("os.Symlink: %v", err)
				}
			}
			routers := "conf/r"
			if c.routers != "" {
				routers = c.routers
			}
			read := Below(filepath.Join(top, "conf"))
			if c.nowhere {
				read = nil
			}
			_, err := Convert([]byte(inFolders(top+"/"+routers, filepath.Join(top, "conf/c"))), read)
			if err == nil {
				t.Fatal("the configuration was converted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if c.wantsNot != "" && strings.Contains(err.Error(), c.wantsNot) {
				t.Errorf("the error says %q: %v", c.wantsNot, err)
			}
		})
	}
}
