package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/moefile"
)

// What --trace cannot do is an error before anything starts.
func TestTraceFlags(t *testing.T) {
	file := write(t, "plugins: [{name: hello}]")
	for _, c := range []struct{ name, flags, want string }{
		{name: "a path alone", flags: "--trace-path /x", want: "--trace-path and --trace-plugin are for --trace"},
		{name: "a plugin alone", flags: "--trace-plugin hello", want: "--trace-path and --trace-plugin are for --trace"},
		{name: "nothing runs", flags: "--trace --print-config", want: "--trace is for an Envoy that moe starts"},
		{name: "no log", flags: "--trace --plugin-log-level warning", want: "give --plugin-log-level info, debug or trace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := moe(t, append([]string{"run", "-c", file}, strings.Fields(c.flags)...)...)
			if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("moe run %s: got status %d, %q and %q; want 1 and %q", c.flags, status, stdout, stderr, c.want)
			}
		})
	}
}

// All requests are recorded, whatever the file says, and nothing else that it says is lost.
func TestRecordAll(t *testing.T) {
	type object = map[string]any
	token := object{"key": object{"file": "/key"}}
	file := &moefile.File{
		Filter: object{"timeout": "1s", "debug": object{"when": object{"token": token}, "serverTiming": true}},
		Routes: []bootstrap.Route{
			{Doc: object{"order": "listed"}}, {Doc: object{"debug": object{"slow": "1s", "when": object{"sample": 0.1}}}}, {},
		},
	}
	before := file.Filter["debug"]
	recordAll(file)
	want := []object{
		{"timeout": "1s", "debug": object{"when": object{"token": token, "sample": 1}, "serverTiming": true, "record": true}},
		{"order": "listed"},
		{"debug": object{"slow": "1s", "when": object{"sample": 1}, "record": true}},
		nil,
	}
	got := []object{file.Filter}
	for _, r := range file.Routes {
		got = append(got, r.Doc)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recordAll (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(any(object{"when": object{"token": token}, "serverTiming": true}), before); diff != "" {
		t.Errorf("recordAll changes what it was given (-want +got):\n%s", diff)
	}
}

// Records are drawn, and every other line goes on.
func TestTracer(t *testing.T) {
	var log, out bytes.Buffer
	f := traceFlags{on: true, plugin: "hello"}
	w := f.writer(&log, &out, nil)
	lines := []string{
		"[info] msg=hello\n",
		`[info] msg=request record={"why":"sample","path":"/a","steps":[{"plugin":"hello"}]}` + "\n",
		`[info] msg=request record={"why":"sample","path":"/b","steps":[{"plugin":"other"}]}` + "\n",
		`[info] msg=request record={"why":` + "\n",
	}
	for _, line := range lines {
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("Write(%q): got %d and error %v, want all of it", line, n, err)
		}
	}
	if want := lines[0] + lines[3]; log.String() != want {
		t.Errorf("the log: got %q, want %q", log.String(), want)
	}
	if got := out.String(); !strings.Contains(got, "/a") || strings.Contains(got, "/b") || strings.Contains(got, "\x1b") {
		t.Errorf("drawn: got %q, want the request of /a without colours", got)
	}
	if (&traceFlags{}).writer(&log, &out, nil) != &log {
		t.Error("without --trace, the log does not go on as it is")
	}
}

func TestIsTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatalf("os.OpenFile: %v", err)
	}
	defer null.Close()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatalf("os.Create: %v", err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file or a buffer is taken for a terminal")
	}
	if !isTerminal(null) {
		t.Error("a character device is not taken for a terminal")
	}
}
