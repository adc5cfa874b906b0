package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/internal/ui"
)

// What --ui cannot do, or should not without being asked to, is an error before anything starts.
func TestUIFlags(t *testing.T) {
	file := write(t, "plugins: [{name: hello}]")
	for _, c := range []struct{ name, command, flags, want string }{
		{name: "remote alone", command: "run", flags: "--ui-remote", want: "--ui-remote, --ui-edit and --ui-host are for --ui"},
		{name: "a host alone", command: "extproc", flags: "--ui-host a", want: "--ui-remote, --ui-edit and --ui-host are for --ui"},
		{name: "forms alone", command: "extproc", flags: "--ui-edit", want: "--ui-remote, --ui-edit and --ui-host are for --ui"},
		{name: "nothing runs", command: "run", flags: "--ui 127.0.0.1:0 --print-config", want: "not for a printed configuration"},
		{name: "nothing is served", command: "extproc", flags: "--ui 127.0.0.1:0 --print-config", want: "not for a printed configuration"},
		{name: "no log", command: "run", flags: "--ui 127.0.0.1:0 --plugin-log-level warning", want: "--ui reads the plugins' log"},
		{name: "all addresses", command: "run", flags: "--ui :0", want: "with --ui-remote"},
		{name: "all addresses of extproc", command: "extproc", flags: "--ui 0.0.0.0:0", want: "with --ui-remote"},
		{name: "a name", command: "run", flags: "--ui example.com:80", want: "with --ui-remote"},
		{name: "no port", command: "run", flags: "--ui 127.0.0.1", want: "give an address such as"},
		{name: "nothing is slow", command: "run", flags: "--ui 127.0.0.1:0 --ui-slow 0s", want: "--ui-slow 0s: expected a duration above 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := moe(t, append([]string{c.command, "-c", file}, strings.Fields(c.flags)...)...)
			if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("moe %s %s: got status %d, %q and %q; want 1 and %q", c.command, c.flags, status, stdout, stderr, c.want)
			}
		})
	}
}

// opened is a page, and a browser at its printed address.
type opened struct {
	t      *testing.T
	base   string
	client *http.Client
}

func openPage(t *testing.T) (f *uiFlags, c *cobra.Command, browse func() *opened) {
	f = &uiFlags{address: "127.0.0.1:0", slow: time.Second}
	var printed bytes.Buffer
	c = &cobra.Command{}
	c.SetErr(&printed)
	return f, c, func() *opened {
		t.Helper()
		m := regexp.MustCompile(`the page is (http://127\.0\.0\.1:[0-9]+/)(\?token=\S+)`).FindStringSubmatch(printed.String())
		if m == nil {
			t.Fatalf("no address is printed: %q", printed.String())
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatalf("cookiejar.New: %v", err)
		}
		o := &opened{t: t, base: m[1], client: &http.Client{Jar: jar}}
		o.get(m[2])
		return o
	}
}

func (o *opened) get(target string) string {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.base+target, nil)
	if err != nil {
		o.t.Fatalf("http.NewRequest: %v", err)
	}
	answer, err := o.client.Do(r)
	if err != nil {
		o.t.Fatalf("GET %s: %v", target, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		o.t.Fatalf("GET %s: got status %d and error %v, want 200", target, answer.StatusCode, err)
	}
	return string(text)
}

// has fails the test unless a page has the texts.
func (o *opened) has(target string, texts ...string) {
	o.t.Helper()
	got := o.get(target)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			o.t.Errorf("%s lacks %s:\n%s", target, text, got)
		}
	}
}

// Lines of Envoy's log: the page gets all records, and the log keeps those that the configuration has asked for.
func TestPageOfLog(t *testing.T) {
	f, c, browse := openPage(t)
	page, end, err := f.open(c, ui.Edit{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer end()
	var log bytes.Buffer
	w := (&traceFlags{}).writer(&log, io.Discard, page)
	lines := []string{
		"[info] msg=hello\n",
		`[info] msg=request record={"why":"sample","path":"/sampled","steps":[]}` + "\n",
		`[info] msg=request record={"why":"token","path":"/chosen","steps":[]}` + "\n",
		`[warning] msg="slow request" record={"why":"sample","path":"/slow","steps":[]}` + "\n",
	}
	for _, line := range lines {
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("Write(%q): got %d and error %v, want all of it", line, n, err)
		}
	}
	if want := lines[0] + lines[2] + lines[3]; log.String() != want {
		t.Errorf("the log: got %q, want %q", log.String(), want)
	}
	browse().has("requests", "/sampled", "/chosen", "/slow")
}

// The log of moe extproc: likewise, at whatever level it is.
func TestPageOfHandler(t *testing.T) {
	f, c, browse := openPage(t)
	page, end, err := f.open(c, ui.Edit{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer end()
	var out bytes.Buffer
	log := slog.New(recordHandler{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}), page}).With("a", 1).WithGroup("g")
	record := func(why, path string) slog.Attr {
		return slog.Any(debugview.RecordKey, json.RawMessage(`{"why":"`+why+`","path":"`+path+`","steps":[]}`))
	}
	log.Info("hello")
	log.Debug("quiet")
	log.Info("request", record("sample", "/sampled"))
	log.Info("request", record("token", "/chosen"))
	log.Warn("slow request", record("sample", "/slow"))
	log.Warn("other", slog.Any(debugview.RecordKey, json.RawMessage(`{`)))
	if got := out.String(); strings.Contains(got, "hello") || strings.Contains(got, "sampled") || strings.Contains(got, "chosen") ||
		!strings.Contains(got, `msg="slow request" a=1 g.record`) || !strings.Contains(got, "msg=other") {
		t.Errorf("the log at level warn: got %s; want the slow request and other", got)
	}
	if log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is enabled, which neither the log nor the page wants")
	}
	browse().has("requests", "/sampled", "/chosen", "/slow")
}
