package edge

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTrace has moe run show requests as they end, also those of routes that show something else, and after an edit.
func TestTrace(t *testing.T) {
	onEnvoys(t, func(t *testing.T, s *site) {
		var listen string
		text := func(value string) string {
			return "listen: " + listen + "\nplugins: [{name: hello, config: {header: x-hello, value: " + value + "}}]\n" +
				"routes: [{match: {prefix: /api/quiet}, debug: {slow: 1h}, plugins: [{id: hello, config: {value: " + value + "}}]}]\n"
		}
		w := startWatch(t, s, func(addr string) string { listen = addr; return text("one") }, "--trace", "--trace-path", "/api/")
		client := &http.Client{Timeout: time.Minute}
		shows := func(path string) {
			t.Helper()
			request := regexp.MustCompile(`(?m)^[0-9:.]+ GET ` + path + ` \S+ → 200  [0-9.]+ ms, plugins [0-9.]+ ms.*\n` +
				`  hello OnResponseHeaders +[█·]+ [0-9.]+ ms  \+x-hello\(3\)$`)
			w.until("the timeline of "+path, func() bool { return request.MatchString(w.out.String()) })
		}
		for _, path := range []string{"/other", "/api/a", "/api/quiet"} {
			w.value(client, path+"?secret=hush-hush")
		}
		shows("/api/a")
		shows("/api/quiet")
		w.write(text("two"))
		w.until("the edit", func() bool { return w.value(client, "/other") == "two" })
		w.value(client, "/api/b")
		shows("/api/b")
		if text := w.out.String(); strings.Contains(text, "/other") || strings.Contains(text, "hush") || strings.Contains(text, "\x1b") {
			t.Errorf("moe run --trace-path /api/ prints another path, a query, or colours without a terminal:\n%s", text)
		}
		if text := w.log.String(); strings.Contains(text, "record=") {
			t.Errorf("a record is also in the log:\n%s", text)
		}
	})
}
