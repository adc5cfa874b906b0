package ui

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/moefile"
)

// editor is a server that may change a file with a text.
func editor(t *testing.T, text string) (s *Server, c *client, file string) {
	t.Helper()
	t.Setenv("LONG_SECRET", "long enough")
	file = filepath.Join(t.TempDir(), "moe.yaml")
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	s = withPlugins(t, Options{Edit: &Edit{
		File: file, Name: "moe.yaml", Check: func(text []byte, whole bool) error {
			check := moefile.CheckPlugins
			if whole {
				check = moefile.ProvisionPlugins
			}
			_, err := moefile.Loader{Check: check, Host: moefile.Dynmod, Name: "moe.yaml"}.Parse(text)
			return err
		},
	}})
	s.Loaded("moe.yaml", []byte(text))
	return s, newClient(t, s), file
}

var (
	input    = regexp.MustCompile(`<input [^>]*?name="([^"]+)" value="([^"]*)"`)
	area     = regexp.MustCompile(`<textarea [^>]*?name="([^"]+)"[^>]*>\n?([^<]*)</textarea>`)
	choice   = regexp.MustCompile(`(?s)<select [^>]*?name="([^"]+)"[^>]*>(.*?)</select>`)
	selected = regexp.MustCompile(`<option(?: value="([^"]*)")? selected>([^<]*)</option>`)
)

// filled is what a browser sends of a form that nobody has changed.
func filled(page string) url.Values {
	v := url.Values{}
	for _, m := range append(input.FindAllStringSubmatch(page, -1), area.FindAllStringSubmatch(page, -1)...) {
		v.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	for _, m := range choice.FindAllStringSubmatch(page, -1) {
		of := selected.FindStringSubmatch(m[2])
		switch {
		case of == nil:
		case strings.Contains(of[0], "value="):
			v.Set(m[1], html.UnescapeString(of[1]))
		default:
			v.Set(m[1], html.UnescapeString(of[2]))
		}
	}
	return v
}

const edited1 = `# The head.
listen: 127.0.0.1:10000   # where

plugins:
# The first.
- name: sample
  config:
    name: "one"     # a comment

    secret: hush-hush-literal
    words: [a, b]
# The second.
- {name: sample, id: flow, config: {count: 1}}
- name: sample
  id: long
  config:
    headers:
      x-a: "${VALUE:-1}"   # of a header
    rules:
    - size: 1MiB
routes:
- match: {prefix: /a}
  # Of the route.
  plugins:
  - id: flow
    config: {count: 2}
`

// Forms change what they are about, and nothing else: not a byte of the lines of others, and no comment.
func TestEdit(t *testing.T) {
	const long = "/edit?at=plugins[2]"
	for _, c := range []struct {
		name, open string
		change     url.Values
		want       []string // old and new text, in pairs
		problem    string   // why nothing is saved
	}{
		{name: "nothing", open: "/edit?at=plugins[0]"},
		{
			name: "a field", open: "/edit?at=plugins[0]", change: url.Values{"f.name": {"two"}},
			want: []string{
				"    name: \"one\"     # a comment\n\n    secret", "    name: two # a comment\n    secret",
			},
		},
		{
			name: "a number", open: "/edit?at=plugins[0]", change: url.Values{"f.count": {"3"}},
			want: []string{"    name: \"one\"     # a comment\n\n    secret", "    name: \"one\" # a comment\n    secret", "    words: [a, b]\n", "    words: [a, b]\n    count: 3\n"},
		},
		{
			name: "a field less", open: long, change: url.Values{"f.rules": {""}}, want: []string{"    rules:\n    - size: 1MiB\n", "", "   # of a header", " # of a header"},
		},
		{
			name: "a field of a route", open: "/edit?at=routes[0].plugins[0]", change: url.Values{"f.loud": {"true"}, "f.count": {""}},
			want: []string{"    config: {count: 2}", "    config: {loud: true}"},
		},
		{
			name: "several fields", open: long, change: url.Values{
				"f.wait": {"2s"}, "f.level": {"high"}, "f.inner.size": {"5"}, "f.words": {"x\r\n\r\n y \r\n"}, "f.secret.where": {"env"},
				"f.secret": {"LONG_SECRET"}, "f.headers": {"x-a: \"2\""}, "f.rules": {"- size: 2MiB\n- size: 3MiB  # three"}, "disabled": {"true"},
			},
			want: []string{`    headers:
      x-a: "${VALUE:-1}"   # of a header
    rules:
    - size: 1MiB
`, `    headers:
      x-a: "2"
    rules:
      - size: 2MiB
      - size: 3MiB # three
    secret: {env: LONG_SECRET}
    level: high
    wait: 2s
    words:
      - x
      - y
    inner:
      size: "5"
  disabled: true
`},
		},
		{
			name: "text that looks like something else", open: "/edit?at=routes[0].plugins[0]",
			change: url.Values{"f.name": {"true"}, "f.url": {"a: b # c"}}, want: []string{"config: {count: 2}", `config: {count: 2, name: "true", url: 'a: b # c'}`},
		},
		{name: "a new entry", open: "/edit?list=plugins&plugin=sample&id=", change: url.Values{"f.count": {"9"}}, want: []string{"    - size: 1MiB\n", "    - size: 1MiB\n- name: sample\n  id: sample-2\n  config:\n    count: 9\n"}},
		{
			name: "a new entry of a route", open: "/edit?list=routes[0].plugins&plugin=sample&id=long", change: url.Values{"f.count": {"9"}},
			want: []string{"    config: {count: 2}\n", "    config: {count: 2}\n  - id: long\n    config:\n      count: 9\n"},
		},
		{name: "an entry less", open: long, change: url.Values{"action": {"remove"}}, want: []string{edited1[strings.Index(edited1, "- name: sample\n  id: long"):strings.Index(edited1, "routes:")], ""}},
		{
			name: "an entry with a comment before it less", open: "/edit?at=plugins[1]", change: url.Values{"action": {"remove"}}, problem: "flow",
		},
		{name: "a wrong number", open: long, change: url.Values{"f.count": {"11"}}, problem: "at most 10"},
		{name: "no number", open: long, change: url.Values{"f.count": {"many"}}, problem: "expected"},
		{name: "a number in two lines", open: long, change: url.Values{"f.count": {"1\n- x"}}, problem: "expected"},
		{name: "broken YAML", open: long, change: url.Values{"f.rules": {"- {"}}, problem: "line"},
		{name: "an unknown field of an object", open: long, change: url.Values{"f.rules": {"- siz: 1"}}, problem: "size"},
		{name: "an alias", open: long, change: url.Values{"f.rules": {"- &a {size: 1}\n- *a"}}, problem: "anchors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, client, file := editor(t, edited1)
			page := client.get(c.open)
			if strings.Contains(page, "hush-hush") {
				t.Errorf("the form shows a secret:\n%s", page)
			}
			form := filled(page)
			form.Set("action", "save")
			for name, values := range c.change {
				form[name] = values
			}
			w := client.do(http.MethodPost, "/edit", form)
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("os.ReadFile: %v", err)
			}
			if c.problem != "" {
				if w.Code != http.StatusUnprocessableEntity || !strings.Contains(html.UnescapeString(w.Body.String()), c.problem) || string(got) != edited1 {
					t.Errorf("POST /edit: got status %d, want 422, %q and the file as it was:\n%s\n%s", w.Code, c.problem, w.Body, got)
				}
				return
			}
			want := edited1
			for i := 0; i < len(c.want); i += 2 {
				if !strings.Contains(want, c.want[i]) {
					t.Fatalf("the file lacks %q", c.want[i])
				}
				want = strings.Replace(want, c.want[i], c.want[i+1], 1)
			}
			if w.Code != http.StatusSeeOther {
				t.Fatalf("POST /edit: got status %d, want 303:\n%s", w.Code, w.Body)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
			if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o640 {
				t.Errorf("the file's mode: got %v and error %v, want that of before", st.Mode(), err)
			}
		})
	}
}

// What somebody types is checked by moe validate's own code, and put to the fields.
func TestEditCheck(t *testing.T) {
	_, c, file := editor(t, edited1)
	form := filled(c.get("/edit?at=plugins[2]"))
	ask := func() (f found) {
		t.Helper()
		w := c.do(http.MethodPost, "/edit/check", form)
		if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Code != http.StatusOK {
			t.Fatalf("POST /edit/check: got status %d and error %v:\n%s", w.Code, err, w.Body)
		}
		return f
	}
	if diff := cmp.Diff(found{Fields: map[string]string{}, Problems: []string{}}, ask()); diff != "" {
		t.Errorf("nothing is wrong (-want +got):\n%s", diff)
	}
	form.Set("f.count", "11")
	form.Set("f.inner.size", "much")
	form.Set("f.rules", "- size: x")
	f := ask()
	for name, want := range map[string]string{"f.count": "at most 10", "f.inner.size": "expected", "f.rules": "[0].size: expected"} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(f.Fields[name], want) {
				t.Errorf("the error of %s: got %q, want %q", name, f.Fields[name], want)
			}
		})
	}
	form.Set("sum", "x")
	if got := ask().Problems; len(got) != 1 || got[0] != errChanged.Error() {
		t.Errorf("a form of another file: got %v, want %v", got, errChanged)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != edited1 {
		t.Errorf("a check writes the file: %s, %v", got, err)
	}
	form = filled(c.get("/edit?at=plugins[2]"))
	form.Set("action", "check")
	if w := c.do(http.MethodPost, "/edit", form); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Nothing is wrong with it.") {
		t.Errorf("the button Check: got status %d:\n%s", w.Code, w.Body)
	}
}

// Nothing is saved over what somebody else has written, and nothing where nobody has asked for forms.
func TestEditRefuses(t *testing.T) {
	_, c, file := editor(t, edited1)
	form := filled(c.get("/edit?at=plugins[0]"))
	form.Set("f.name", "two")
	const other = "plugins: [{name: sample}]\n"
	if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	w := c.do(http.MethodPost, "/edit", form)
	if got, err := os.ReadFile(file); w.Code != http.StatusConflict || err != nil || string(got) != other {
		t.Errorf("a file that has changed: got status %d and %s (%v), want 409 and the file as it is", w.Code, got, err)
	}
	contains(t, c.get("/configuration"), "The file has changes that do not run.")
	for name, target := range map[string]string{
		"no such entry": "/edit?at=plugins[7]", "no entry": "/edit?at=listen", "no list": "/edit?list=listen&plugin=sample",
		"no route": "/edit?list=routes[3].plugins&plugin=sample", "no plugin": "/edit?list=plugins&plugin=none", "nothing": "/edit",
	} {
		t.Run(name, func(t *testing.T) {
			if w := c.do(http.MethodGet, target, nil); w.Code != http.StatusNotFound {
				t.Errorf("GET %s: got status %d, want 404", target, w.Code)
			}
		})
	}
	for name, text := range map[string]string{
		"JSON": `{"plugins":[{"name":"sample"}]}`, "an alias": "x: &a {name: sample}\nplugins: [*a]\n", "broken": "plugins: [",
		"a plugin of others": "plugins: [{name: theirs}]",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatalf("os.WriteFile: %v", err)
			}
			if w := c.do(http.MethodGet, "/edit?at=plugins[0]", nil); w.Code != http.StatusNotFound {
				t.Errorf("a form: got status %d, want 404:\n%s", w.Code, w.Body)
			}
		})
	}
	still := newClient(t, withPlugins(t, Options{}))
	still.s.Loaded("moe.yaml", []byte(edited1))
	if w := still.do(http.MethodGet, "/edit?at=plugins[0]", nil); w.Code != http.StatusNotFound || strings.Contains(still.get("/configuration"), "/edit") {
		t.Errorf("without --ui-edit: got status %d, want 404, and no link to a form", w.Code)
	}
}

// A link to the file stays one.
func TestEditLink(t *testing.T) {
	s, c, file := editor(t, edited1)
	link := filepath.Join(t.TempDir(), "moe.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	s.o.Edit.File = link
	form := filled(c.get("/edit?at=plugins[0]"))
	form.Set("f.name", "two")
	if w := c.do(http.MethodPost, "/edit", form); w.Code != http.StatusSeeOther {
		t.Fatalf("POST /edit: got status %d:\n%s", w.Code, w.Body)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link: got %v and error %v, want a link", st, err)
	}
	if got, err := os.ReadFile(file); err != nil || !strings.Contains(string(got), "name: two") {
		t.Errorf("the file behind the link: got %s, %v", got, err)
	}
}

// Whatever is sent, a text is made that says what the form says, or none; and all that the form is not about stays.
func FuzzEdit(f *testing.F) {
	f.Add("plugins[0]", "f.name=two&f.count=3&f.words=a%0Ab&f.headers=x:+y&f.secret.where=env&f.secret=A")
	f.Add("plugins[2]", "f.rules=-+{size:+1}&f.inner.size=1&disabled=true&f.wait=%0d%0a-+x")
	f.Add("routes[0].plugins[0]", "f.loud=true&f.url=%27%22%23:&f.level=high")
	f.Add("", "list=plugins&plugin=sample&f.name=%C2%85%E2%80%A8x")
	f.Add("plugins[1]", "action=remove")
	s := withPlugins(&testing.T{}, Options{})
	file := filepath.Join(f.TempDir(), "moe.yaml")
	if err := os.WriteFile(file, []byte(edited1), 0o600); err != nil {
		f.Fatalf("os.WriteFile: %v", err)
	}
	s.o.Edit = &Edit{File: file, Name: "moe.yaml"}
	before, err := config.Parse([]byte(edited1))
	if err != nil {
		f.Fatalf("config.Parse: %v", err)
	}
	f.Fuzz(func(t *testing.T, at, query string) {
		sent, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		sent.Set("at", at)
		e, err := s.openEntry(sent)
		if err != nil {
			return
		}
		text, err := e.change(sent)
		if err != nil || text == nil {
			return
		}
		after, err := config.Parse(text)
		if err != nil {
			t.Fatalf("%s makes what cannot be read: %v\n%s", query, err, text)
		}
		was, is := before.(map[string]any), after.(map[string]any)
		if was["listen"] != is["listen"] || len(was) != len(is) {
			t.Errorf("%s changes what it is not about:\n%s", query, text)
		}
		if sent.Get("action") == "remove" {
			return
		}
		comments := []string{"# The head.", "# where", "# The first.", "# Of the route."}
		for _, comment := range comments {
			if !strings.Contains(string(text), comment) {
				t.Errorf("%s loses the comment %q:\n%s", query, comment, text)
			}
		}
	})
}
