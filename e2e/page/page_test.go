package page

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

const file = `# What runs while the page is looked at.
listen: 127.0.0.1:0
plugins:
- name: requestid
- name: keyauth
  config: {header: x-api-key}
- name: ratelimit
  config:
    maxKeys: 1000   # of all rules
    rules:
    - {limit: 10000, per: 1m}
- name: fault
  config:
    delay: {for: 150ms, percentage: 100}
  disabled: true
- name: hello
  config: {header: x-hello, value: everybody}
consumers:
- name: alice
  credentials: {keyauth: {key: alice-key-0123456789}}
routes:
- name: public
  match: {prefix: /public}
  plugins:
  - {id: keyauth, disabled: true}
  - {id: hello, config: {value: the public}}
- name: slow
  match: {prefix: /slow}
  plugins:
  - {id: fault, disabled: false}
`

// moe is a running moe with its page.
type moe struct {
	t            *testing.T
	file         string
	page, listen string // addresses; that of the page with the token
}

// startMoe runs moe run on the newest Envoy.
func startMoe(t *testing.T) *moe {
	t.Helper()
	command, module := os.Getenv("E2E_MOE"), os.Getenv("E2E_LIBMOE")
	if command == "" || module == "" {
		t.Fatal("E2E_MOE and E2E_LIBMOE are not set: run `make page`")
	}
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	m := &moe{t: t, file: filepath.Join(t.TempDir(), "moe.yaml")}
	if err := os.WriteFile(m.file, []byte(file), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	c := exec.Command(command, "run", "-c", "moe.yaml", "--module", module, "--envoy", bins[len(bins)-1].Path, "--concurrency", "1",
		"--watch", "--ui", "127.0.0.1:0", "--ui-edit")
	c.Dir = filepath.Dir(m.file)
	out, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatalf("start %s: %v", command, err)
	}
	var mu sync.Mutex
	var log strings.Builder
	ready, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var once sync.Once
		for lines := bufio.NewScanner(out); lines.Scan(); {
			mu.Lock()
			fmt.Fprintln(&log, lines.Text())
			mu.Unlock()
			if f := regexp.MustCompile(`the page is (\S+)`).FindStringSubmatch(lines.Text()); f != nil {
				m.page = f[1]
			}
			if f := regexp.MustCompile(`serving (http://[^ ,]+)`).FindStringSubmatch(lines.Text()); f != nil {
				m.listen = f[1]
				once.Do(func() { close(ready) })
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
		<-over
		if err := c.Wait(); err != nil {
			t.Errorf("moe run ends with %v:\n%s", err, log.String())
		}
	})
	select {
	case <-ready:
	case <-over:
		t.Fatalf("moe run has ended:\n%s", log.String())
	case <-time.After(patience):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("moe run does not serve in %s:\n%s", patience, log.String())
	}
	return m
}

// ask sends a request through Envoy.
func (m *moe) ask(path, key string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.listen+path, nil)
	if err != nil {
		m.t.Fatalf("http.NewRequest: %v", err)
	}
	if key != "" {
		r.Header.Set("x-api-key", key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatalf("GET %s: %v", path, err)
	}
	answer.Body.Close()
}

// contrast finds text that is hard to read: with less than 4.5:1 (WCAG 2.2, 1.4.3).
const contrast = `(() => {
  const rgb = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest("option")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(back(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(e.tagName + " " + e.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  return poor.join("; ");
})()`

// nameless finds what a screen reader has no name for.
const nameless = `[...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href]")].filter((e) =>
  !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim()).map((e) => e.outerHTML).join("; ")`

// inDocs are the pictures of docs/page.md. They are written to the folder E2E_PICTURES, if that is set.
var inDocs = []string{
	"live-desktop.png", "live-phone-dark.png", "request-desktop-dark.png", "configuration-desktop.png", "edit-desktop.png",
}

// TestPage looks at a real moe's page in a real browser.
func TestPage(t *testing.T) {
	m, b := startMoe(t), startBrowser(t)
	base := m.page[:strings.Index(m.page, "?")]
	b.screen(1200, 900, false)
	b.open(base)
	b.until("refusal", `document.body.innerText.includes("Open the address that moe has printed")`)
	b.mu.Lock()
	b.wrong = nil // the console tells of the 401
	b.mu.Unlock()
	b.open(m.page)
	if got := b.eval("location.href"); got != base {
		t.Errorf("the address after the token: got %v, want %s", got, base)
	}
	if got := b.eval("document.cookie"); got != "" {
		t.Errorf("a script sees the cookie: %v", got)
	}

	run := func(name string, f func(t *testing.T)) {
		outer := t
		t.Run(name, func(t *testing.T) {
			m.t, b.t = t, t
			defer func() { m.t, b.t = outer, outer }()
			f(t)
		})
	}
	run("live", func(t *testing.T) {
		b.until("stream of events", `document.documentElement.dataset.live === "on"`)
		for i := range 12 {
			m.ask("/orders", "alice-key-0123456789")
			m.ask("/public/a", "")
			if i%3 == 0 {
				m.ask("/orders/x", "")
			}
		}
		m.ask("/slow/report", "alice-key-0123456789")
		m.ask("/public/%3Cimg%20src=x%20onerror=alert(1)%3E", "")
		b.until("slow request, without a reload", `document.body.innerText.includes("/slow/report")`)
		b.until("refused request", `document.body.innerText.includes("/orders/x")`)
		b.eval(`document.getElementById("pause").click(); window.mark = document.body.innerText`)
		m.ask("/orders/paused", "")
		b.eval(`fetch("/requests")`) // at least one look of the server's is over
		if got := b.eval(`document.body.innerText.includes("/orders/paused")`); got == true {
			t.Error("a paused page updates itself")
		}
		b.eval(`document.getElementById("pause").click()`)
		b.until("request after the pause", `document.body.innerText.includes("/orders/paused")`)
	})

	run("keyboard", func(t *testing.T) {
		b.open(base)
		b.key("Tab")
		if got := b.eval("document.activeElement.className"); got != "skip" {
			t.Errorf("the first stop: got %v, want the link that skips", got)
		}
		b.key("Enter")
		b.until("main part in focus", `document.activeElement.id === "main"`)
		b.eval("document.activeElement.blur(); document.querySelector('.brand').focus()")
		b.key("Tab")
		b.key("Tab")
		if got := b.eval("document.activeElement.textContent"); got != "Requests" {
			t.Errorf("two stops after the name: got %v, want Requests", got)
		}
		if got := b.eval("getComputedStyle(document.activeElement).outlineStyle"); got != "solid" {
			t.Errorf("the outline of what has the focus: got %v, want one", got)
		}
		b.key("Enter")
		b.until("list of requests", `location.pathname === "/requests" && document.querySelector("table.requests")`)
		b.eval(`document.querySelector("table.requests a").focus()`)
		m.ask("/public/focus", "")
		b.until("new request", `document.body.innerText.includes("/public/focus")`)
		if got := b.eval(`document.activeElement.closest("table") !== null`); got != true {
			t.Error("an update takes the focus away")
		}
		b.key("Enter")
		b.until("timeline", `location.pathname.startsWith("/requests/") && document.querySelector(".timeline rect.run")`)
	})

	b.open(base + "requests?kind=slow")
	slow, _ := b.eval(`document.querySelector("table.requests a").getAttribute("href")`).(string)
	looks := []struct{ name, path string }{
		{"live", ""},
		{"requests", "requests"},
		{"request", strings.TrimPrefix(slow, "/")},
		{"configuration", "configuration"},
		{"plugin", "plugins/ratelimit"},
		{"plugins", "plugins"},
		{"edit", "edit?at=plugins[2]"},
	}
	for _, screen := range []struct {
		name          string
		width, height int
		dark          bool
	}{
		{name: "desktop", width: 1200, height: 800},
		{name: "desktop-dark", width: 1200, height: 800, dark: true},
		{name: "phone", width: 360, height: 740},
		{name: "phone-dark", width: 360, height: 740, dark: true},
	} {
		for _, look := range looks {
			outer := t
			t.Run(screen.name+"/"+look.name, func(t *testing.T) {
				m.t, b.t = t, t
				defer func() { m.t, b.t = outer, outer }()
				b.screen(screen.width, screen.height, screen.dark)
				b.open(base + look.path)
				b.eval(`document.querySelector("#configuration section:nth-of-type(2) details")?.setAttribute("open", "")`)
				if got := b.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); got != float64(0) {
					t.Errorf("the page is wider than a screen of %d by %v", screen.width, got)
				}
				if got := b.eval(contrast); got != "" {
					t.Errorf("text with too little contrast: %v", got)
				}
				if got := b.eval(nameless); got != "" {
					t.Errorf("controls without a name: %v", got)
				}
				if got := b.eval("document.querySelectorAll('h1').length"); got != float64(1) {
					t.Errorf("headings of the page: got %v, want one", got)
				}
				name := look.name + "-" + screen.name + ".png"
				if dir := os.Getenv("E2E_PICTURES"); dir != "" && slices.Contains(inDocs, name) {
					b.picture(filepath.Join(dir, name))
				}
			})
		}
	}

	run("form", func(t *testing.T) {
		b.screen(1200, 800, false)
		b.open(base + "edit?at=plugins[2]")
		b.eval(`document.getElementById("f.maxKeys").focus(); document.activeElement.select()`)
		b.write("3")
		b.until("error as one types", `document.getElementById("f.maxKeys-error").textContent.includes("16")`)
		b.eval(`document.activeElement.select()`)
		b.write("4000")
		b.until("error less", `document.getElementById("f.maxKeys-error").textContent === ""`)
		b.key("Enter")
		b.until("note that it is saved", `document.body.innerText.includes("Saved. It goes live in a moment.")`)
		got, err := os.ReadFile(m.file)
		if err != nil || !strings.Contains(string(got), "maxKeys: 4000 # of all rules") || !strings.Contains(string(got), "# What runs") {
			t.Errorf("the file: got %s and error %v; want the number, and its comments", got, err)
		}
		b.until("new value, live", `[...document.querySelectorAll("pre")].some((e) => e.textContent === "4000")`)
	})
	b.quiet()
}
