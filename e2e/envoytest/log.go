package envoytest

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"sync"
	"time"
)

// Log collects what a process writes; it is an io.Writer. Memory holds all of it: tests are short.
type Log struct {
	mu   sync.Mutex
	buf  []byte
	more chan struct{} // closed and replaced when something is written
	file *os.File      // a copy, for a person to read
}

// NewLog returns a log that is also written to path, unless that is "".
func NewLog(path string) (*Log, error) {
	l := &Log{more: make(chan struct{})}
	if path == "" {
		return l, nil
	}
	var err error
	l.file, err = os.Create(path)
	return l, err
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	close(l.more)
	l.more = make(chan struct{})
	if l.file != nil {
		return l.file.Write(p)
	}
	return len(p), nil
}

// Mark returns the present end, for Since and Wait.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buf)
}

// Since returns what was written after mark.
func (l *Log) Since(mark int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf[mark:])
}

// Count returns how many times re matches after mark.
func (l *Log) Count(mark int, re string) int {
	return len(regexp.MustCompile(re).FindAllStringIndex(l.Since(mark), -1))
}

// Wait waits until re matches what was written after mark and returns the match and its groups; it gives up after
// patience.
func (l *Log) Wait(mark int, re string, patience time.Duration) ([]string, error) {
	x := regexp.MustCompile(re)
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		m := x.FindSubmatch(l.buf[mark:])
		more := l.more
		l.mu.Unlock()
		if m != nil {
			s := make([]string, len(m))
			for i := range m {
				s[i] = string(m[i])
			}
			return s, nil
		}
		select {
		case <-more:
		case <-deadline:
			return nil, fmt.Errorf("no match of %q in the log since then:\n%s", re, Tail(l.Since(mark), 40))
		}
	}
}

// Tail returns the last n lines of s.
func Tail(s string, n int) string {
	b := bytes.TrimRight([]byte(s), "\n")
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '\n' {
			if n--; n == 0 {
				return "…" + string(b[i:])
			}
		}
	}
	return string(b)
}
