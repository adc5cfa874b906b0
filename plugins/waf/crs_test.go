//go:build !race

package waf

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// suite is a file of the Core Rule Set's regression tests, in the format of go-ftw.
type suite struct {
	Rule  int `yaml:"rule_id"`
	Tests []struct {
		ID     int `yaml:"test_id"`
		Stages []stage
	}
}

type stage struct {
	Input struct {
		Method       string
		URI          string
		Version      *string
		Headers      yaml.Node // in order
		Data         string
		Encoded      string `yaml:"encoded_request"`
		AutoComplete *bool  `yaml:"autocomplete_headers"`
	}
	Output struct {
		Status      int
		ExpectError bool `yaml:"expect_error"`
		Log         struct {
			Expect    []int  `yaml:"expect_ids"`
			Unexpect  []int  `yaml:"no_expect_ids"`
			Match     string `yaml:"match_regex"`
			Unmatched string `yaml:"no_match_regex"`
		}
	}
}

// request is what a stage sends.
type request struct {
	method, uri, version string
	header               [][2]string
	body                 string
}

func (r *request) has(name string) bool {
	return slices.ContainsFunc(r.header, func(f [2]string) bool { return strings.EqualFold(f[0], name) })
}

func (r *request) isType(prefix string) bool {
	return slices.ContainsFunc(r.header, func(f [2]string) bool {
		return strings.EqualFold(f[0], "content-type") && strings.HasPrefix(f[1], prefix)
	})
}

// read makes the request of a stage, completed as go-ftw completes it.
func (g *stage) read() (*request, error) {
	in := &g.Input
	if in.Encoded != "" {
		return decode(in.Encoded)
	}
	r := &request{method: in.Method, uri: in.URI, version: "HTTP/1.1"}
	if r.method == "" {
		r.method = "GET"
	}
	if r.uri == "" {
		r.uri = "/"
	}
	if in.Version != nil {
		r.version = *in.Version
	}
	for i := 0; i+1 < len(in.Headers.Content); i += 2 {
		r.header = append(r.header, [2]string{in.Headers.Content[i].Value, in.Headers.Content[i+1].Value})
	}
	data, err := template.New("data").Funcs(template.FuncMap{
		"repeat": func(n int, s string) string { return strings.Repeat(s, n) },
	}).Parse(in.Data)
	if err == nil {
		var b strings.Builder
		if err := data.Execute(&b, nil); err != nil {
			return nil, err
		}
		r.body = b.String()
	} else {
		r.body = in.Data
	}
	complete := in.AutoComplete == nil || *in.AutoComplete
	if r.body != "" && complete {
		if !r.has("content-type") {
			r.header = append(r.header, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
		}
		if r.isType("application/x-www-form-urlencoded") {
			r.body = encodeForm(r.body)
		}
	}
	if r.isType("multipart/form-data;") {
		r.body = strings.ReplaceAll(r.body, "\n", "\r\n")
	}
	if complete && !r.has("connection") {
		r.header = append(r.header, [2]string{"Connection", "close"})
	}
	if complete && r.body == "" && !r.has("content-length") && regexp.MustCompile(`POST|PUT|PATCH|DELETE`).MatchString(r.method) {
		r.header = append(r.header, [2]string{"Content-Length", "0"})
	}
	return r, nil
}

// encodeForm escapes a form that is not yet.
func encodeForm(form string) string {
	if plain, err := url.QueryUnescape(form); err != nil || plain != form {
		return form
	}
	var fields []string
	for field := range strings.SplitSeq(form, "&") {
		key, value, ok := strings.Cut(field, "=")
		if field = url.QueryEscape(key); ok {
			field += "=" + url.QueryEscape(value)
		}
		fields = append(fields, field)
	}
	return strings.Join(fields, "&")
}

// decode reads a request that the test gives as bytes.
func decode(text string) (*request, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(bytes.NewReader(raw))
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	parts := strings.Fields(line)
	if len(parts) != 3 {
		return nil, fmt.Errorf("request line %q", line)
	}
	r := &request{method: parts[0], uri: parts[1], version: parts[2]}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		r.header = append(r.header, [2]string{name, strings.TrimSpace(value)})
	}
	rest, err := io.ReadAll(in)
	r.body = string(rest)
	return r, err
}

// backend answers as albedo does, the server that the tests are written for.
func backend(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/reflect") {
		return
	}
	var spec struct {
		Status      int
		Headers     map[string]string
		Body        string
		EncodedBody string
	}
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		w.WriteHeader(400)
		return
	}
	for name, value := range spec.Headers {
		w.Header().Set(name, value)
	}
	if spec.Status != 0 {
		w.WriteHeader(spec.Status)
	}
	if spec.EncodedBody != "" {
		body, _ := base64.StdEncoding.DecodeString(spec.EncodedBody)
		spec.Body = string(body)
	}
	_, _ = io.WriteString(w, spec.Body)
}

// crsConfig is what the Core Rule Set's regression tests ask for, with every match in the log.
const crsConfig = `{
  paranoia: 4, shadow: true, log: matches,
  response: {inspect: body, types: [text/plain, text/html, text/xml]},
  setup: 'SecAction "id:900005,phase:1,nolog,pass,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"'
}`

var malformed = regexp.MustCompile(`[\x00-\x20]`)

// refusedByServers reports whether Envoy answers the request itself, or closes the connection: no plugin ever sees it.
func (r *request) refusedByServers() bool {
	return r.method != strings.TrimSpace(r.method) || malformed.MatchString(r.uri) || r.version != "HTTP/1.0" && r.version != "HTTP/1.1"
}

// send sends a stage and returns the response and what was logged.
func send(t *testing.T, h *filtertest.Host, r *request) (*filtertest.Response, string) {
	t.Helper()
	req := filtertest.NewRequest("GET", "/", r.body)
	req.Method, req.Host = r.method, ""
	req.URL = &url.URL{Opaque: r.uri}
	for _, f := range r.header {
		if strings.EqualFold(f[0], "host") {
			req.Host = f[1]
		} else {
			req.Header[f[0]] = append(req.Header[f[0]], f[1])
		}
	}
	h.Attrs[filter.AttrProtocol] = r.version
	done, logged := h.Metric("inspected"), len(h.Log())
	res := h.Do(req)
	for deadline := time.Now().Add(time.Minute); h.Metric("inspected") == done; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("the inspection does not end")
		}
	}
	return res, strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(h.Log()[logged:])
}

// check returns what a stage expects and has not got.
func (g *stage) check(res *filtertest.Response, log string) error {
	has := func(id int) bool { return strings.Contains(log, fmt.Sprintf(`[id "%d"]`, id)) }
	out := &g.Output
	for _, id := range out.Log.Expect {
		if !has(id) {
			return fmt.Errorf("rule %d does not match", id)
		}
	}
	for _, id := range out.Log.Unexpect {
		if has(id) {
			return fmt.Errorf("rule %d matches", id)
		}
	}
	if out.Log.Match != "" && !regexp.MustCompile(out.Log.Match).MatchString(log) {
		return fmt.Errorf("nothing that is logged matches %q", out.Log.Match)
	}
	if out.Log.Unmatched != "" && regexp.MustCompile(out.Log.Unmatched).MatchString(log) {
		return fmt.Errorf("what is logged matches %q", out.Log.Unmatched)
	}
	if out.Status != 0 && res.Status != out.Status {
		return fmt.Errorf("the status is %d, want %d", res.Status, out.Status)
	}
	return nil
}

// TestCoreRuleSet holds the plugin against the Core Rule Set's own regression tests. Those that fail are in
// testdata/crs-misses.txt, each with the reason; one that is there and passes has to go.
func TestCoreRuleSet(t *testing.T) {
	misses := readMisses(t)
	var files []string
	err := fs.WalkDir(tests.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if path.Ext(name) == ".yaml" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatalf("listing the tests: %v", err)
	}
	filtertest.New(t, filtertest.Config{Name: "waf", JSON: crsConfig}) // keeps the rules from being compiled again
	var mu sync.Mutex
	passed, refused, failed := 0, 0, 0
	run := func(t *testing.T, file string) {
		text, err := fs.ReadFile(tests.FS, file)
		if err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		var s suite
		if err := yaml.Unmarshal(text, &s); err != nil {
			t.Fatalf("decoding %s: %v", file, err)
		}
		h := &filtertest.Host{Upstream: http.HandlerFunc(backend), AllowsBugs: true, Attrs: map[filter.Attr]string{
			filter.AttrSourceAddress: "127.0.0.1:40000", filter.AttrDestinationAddress: "127.0.0.1:80",
		}}
		if err := h.Load(t, filtertest.Config{Name: "waf", JSON: crsConfig}); err != nil {
			t.Fatalf("h.Load: %v", err)
		}
		for _, c := range s.Tests {
			name := fmt.Sprintf("%d-%d", s.Rule, c.ID)
			var err error
			skipped := false
			for i := range c.Stages {
				r, failure := c.Stages[i].read()
				if failure == nil && r.refusedByServers() || c.Stages[i].Output.ExpectError {
					skipped = true
					break
				}
				if err = failure; err == nil {
					res, log := send(t, h, r)
					err = c.Stages[i].check(res, log)
				}
				if err != nil {
					break
				}
			}
			mu.Lock()
			reason, known := misses[name]
			delete(misses, name)
			switch {
			case skipped:
				refused++
			case err == nil:
				passed++
			default:
				failed++
			}
			mu.Unlock()
			switch {
			case known && (err == nil || skipped):
				t.Errorf("%s passes; take it out of testdata/crs-misses.txt (%s)", name, reason)
			case err != nil && !known:
				t.Errorf("test %s of the Core Rule Set fails: %v", name, err)
			}
		}
	}
	t.Run("rules", func(t *testing.T) {
		for _, file := range files {
			t.Run(path.Base(file), func(t *testing.T) {
				t.Parallel()
				run(t, file)
			})
		}
	})
	for name := range misses {
		t.Errorf("testdata/crs-misses.txt names %s, and there is no test of that name", name)
	}
	total := passed + failed
	t.Logf("%d of %d pass, %.2f %%; %d are requests that Envoy answers itself", passed, total, 100*float64(passed)/float64(total), refused)
	if passed < 4500 {
		t.Errorf("%d tests pass, want 4500 at least", passed)
	}
}

func readMisses(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/crs-misses.txt")
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	misses := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, reason, ok := strings.Cut(line, " ")
		if _, err := strconv.Atoi(strings.SplitN(name, "-", 2)[0]); err != nil || !ok {
			t.Fatalf("testdata/crs-misses.txt: %q is not a test and a reason", line)
		}
		misses[name] = reason
	}
	return misses
}
