package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/bootstrap/bootstraptest"
)

// atWork is an overview as JSON has it.
const atWork = `{
	"filters": [
		{"host": "dynmod", "name": "moe", "chains": [
			{"plugins": [{"id": "key", "name": "keyauth", "stage": "authn"}, {"id": "hello", "name": "hello", "stage": "transform"}]},
			{"plugins": []}
		]}
	],
	"instances": [{"kind": "http", "name": "hello", "count": 2}],
	"consumerSets": [{"consumers": 3}, {"source": "/etc/consumers", "consumers": 4}],
	"consumerChains": 5,
	"leftOut": 6
}`

// start makes the extension in an Envoy that is initialized, in whose process overview is at work.
func start(t *testing.T, conf, overview string) *bootstraptest.Extension[Admin] {
	t.Helper()
	x, err := bootstraptest.New[Admin](t, conf)
	if err != nil {
		t.Fatalf("bootstraptest.New: %v", err)
	}
	var o bootstrap.Overview
	if err := json.Unmarshal([]byte(overview), &o); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	x.SetOverview(o)
	x.Start()
	x.Eventually("Envoy going on", x.Ready)
	return x
}

// get asks for a page until it has the status: a busy machine may take longer for it than Envoy waits.
func get(t *testing.T, x *bootstraptest.Extension[Admin], target string, status int) string {
	t.Helper()
	got, text := 0, ""
	for end := time.Now().Add(10 * time.Second); got != status && time.Now().Before(end); {
		got, text = x.Get(target)
	}
	if got != status {
		t.Fatalf("GET %s answers %d %.200q, want %d", target, got, text, status)
	}
	return text
}

func TestText(t *testing.T) {
	text := get(t, start(t, "", atWork), "/moe", http.StatusOK)
	_, rest, _ := strings.Cut(text, "\n\n")
	const want = `filters: 1
  moe of dynmod, chains: 2
    key (keyauth) > hello
    (no plugins)

instances:
  http hello: 2

consumers, chains of their own: 5
  in a document: 3
  /etc/consumers: 4

left out: 6
`
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(text, "moe ") || !strings.Contains(text, runtime.Version()) || !strings.Contains(text, "goroutines") {
		t.Errorf("the page begins with %.200q, want versions and goroutines", text)
	}
}

func TestJSON(t *testing.T) {
	text := get(t, start(t, "path: /mine", atWork), "/mine?format=json", http.StatusOK)
	var got, want map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("json.Unmarshal: %v\n%s", err, text)
	}
	if err := json.Unmarshal([]byte(atWork), &want); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	if got["goroutines"].(float64) < 1 || got["heapBytes"].(float64) < 1 || got["version"].(map[string]any)["go"] != runtime.Version() {
		t.Errorf("the process is %v, %v, %v", got["goroutines"], got["heapBytes"], got["version"])
	}
	ofProcess := cmpopts.IgnoreMapEntries(func(key string, _ any) bool {
		return key == "version" || key == "uptime" || key == "goroutines" || key == "heapBytes"
	})
	if diff := cmp.Diff(want, got, ofProcess); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
}

func TestFormat(t *testing.T) {
	text := get(t, start(t, "", atWork), "/moe?format=xml", http.StatusBadRequest)
	if want := "format: expected text or json\n"; text != want {
		t.Errorf("the page says %q, want %q", text, want)
	}
}

// Many goroutines make a page that is cut off, and no error.
func TestGoroutines(t *testing.T) {
	x := start(t, "", atWork)
	if text := get(t, x, "/moe/goroutines", http.StatusOK); !strings.HasPrefix(text, "goroutine profile: total ") ||
		!strings.Contains(text, "TestGoroutines") {
		t.Errorf("the page begins with %.200q, want a profile with this goroutine", text)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		name  string
		write []string
		want  string
		left  int
	}{
		{name: "fits", write: []string{"ab", "cd"}, want: "abcd", left: 1},
		{name: "fits exactly", write: []string{"abcde"}, want: "abcde"},
		{name: "too long at once", write: []string{"abcdefg"}, want: "abcde"},
		{name: "too long in the end", write: []string{"abc", "def", "g"}, want: "abcde"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			w := &cut{w: &b, left: 5}
			for _, text := range c.write {
				fmt.Fprint(w, text)
			}
			if b.String() != c.want || w.left != c.left {
				t.Errorf("got %q and room for %d more, want %q and %d", b.String(), w.left, c.want, c.left)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for conf, want := range map[string]string{
		"path: moe": "path", "path: /a/": "path", "path: /a?b": "path", "paths: /a": "unknown field",
	} {
		t.Run(conf, func(t *testing.T) {
			if _, err := bootstraptest.New[Admin](t, conf); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("bootstraptest.New: got error %v, want one about %q", err, want)
			}
		})
	}
}
