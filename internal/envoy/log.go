package envoy

import (
	"bytes"
	"io"
	"sync"
)

// lines calls f with each whole line that is written to it, its end included.
type lines struct {
	mu   sync.Mutex
	part []byte
	f    func(line []byte)
}

func newLines(f func([]byte)) *lines { return &lines{f: f} }

// maxLine bounds a line: what is longer is handed on in parts.
const maxLine = 1 << 20

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 && len(l.part)+len(b) < maxLine {
			l.part = append(l.part, b...)
			break
		}
		if end == 0 {
			end = len(b)
		}
		l.part = append(l.part, b[:end]...)
		l.f(l.part)
		l.part, b = l.part[:0], b[end:]
	}
	return n, nil
}

// Prefix returns a writer that puts prefix before every line it writes to w, a whole line at a time.
func Prefix(w io.Writer, prefix string) io.Writer {
	buf := []byte(prefix)
	return newLines(func(line []byte) {
		buf = append(buf[:len(prefix)], line...)
		w.Write(buf)
	})
}
