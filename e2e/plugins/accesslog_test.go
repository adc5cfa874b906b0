package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func init() {
	add("accesslog: selections, text lines, redaction, routes", func(b *bed) {
		file := filepath.Join(b.TempDir(), "access.log")
		ln := b.listen(`plugins: [{name: accesslog, config: {output: `+strconv.Quote(file)+`, redactQuery: [token], redactPatterns: ['\d{4}-\d{4}'],
			only: [{statuses: [4xx, 5xx]}, {prefix: /body/logged}], line: '%REQ(:method)% %REQ(:path)% %RESPONSE_CODE% %REQ(x-card)% %REQ(authorization)% %BYTES_RECEIVED%'}}]`,
			route{"/body/json", `plugins: [{name: accesslog, config: {line: "", only: [], omit: [user-agent]}}]`})
		ln.get("/echo")
		ln.get("/echo?status=404&token=geheim", "x-card", "1234-5678", "authorization", "geheim")
		ln.post("/body/logged", "12345")
		ln.get("/body/json?token=geheim")
		want := []string{
			"GET /echo?status=404&token=[redacted] 404 [redacted] [redacted] 0", "POST /body/logged 200 - - 5", `{"time":`,
		}
		b.Poll(func() error {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			if len(lines) != len(want) {
				return fmt.Errorf("got %d lines, want %d:\n%s", len(lines), len(want), text)
			}
			for i := range want {
				if !strings.HasPrefix(lines[i], want[i]) || strings.Contains(lines[i], "geheim") || strings.Contains(lines[i], "user-agent") {
					return fmt.Errorf("line %d is %s, want %s", i, lines[i], want[i])
				}
			}
			return nil
		})
	})
}
