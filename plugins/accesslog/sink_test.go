package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filtertest"
)

var discard = slog.New(slog.DiscardHandler)

// counted returns counters that count.
func counted(t *testing.T) *counters {
	p := &AccessLog{Output: stderr, Buffer: 1 << 20}
	filtertest.New(t, p)
	return &p.counts
}

// Instances with one output share it: lines of all are whole, and all are there.
func TestShared(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	path := filepath.Join(dir, "a.log")
	var ps []*AccessLog
	var wg sync.WaitGroup
	for i := range 4 {
		p := &AccessLog{Output: path, Buffer: 16 << 20}
		if i%2 == 1 {
			p.Output = filepath.Join(link, "a.log")
		}
		ps = append(ps, p)
		filtertest.New(t, p)
		wg.Go(func() {
			for j := range 500 {
				line := fmt.Sprintf("%d %d %s\n", i, j, strings.Repeat("x", j))
				p.sink.write([]byte(line), int64(p.Buffer), &p.counts)
			}
		})
	}
	if ps[0].sink != ps[3].sink {
		t.Error("two sinks for one file")
	}
	wg.Wait()
	for _, p := range ps {
		if err := p.Close(); err != nil {
			t.Errorf("p.Close: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error("closed twice:", err)
		}
	}
	if s, release, err := acquire(path, nil, discard); err != nil || s == ps[0].sink {
		t.Errorf("after all have closed: got the same sink (error %v), want another", err)
	} else if err := release(); err != nil {
		t.Errorf("release: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	next := make([]int, 4)
	for line := range strings.Lines(string(text)) {
		var i, j int
		if n, err := fmt.Sscanf(line, "%d %d", &i, &j); n != 2 || len(strings.Fields(line)) < 2 {
			t.Fatalf("%v in %q", err, line)
		}
		if !strings.HasSuffix(line, " "+strings.Repeat("x", j)+"\n") || j != next[i] {
			t.Fatalf("%q is not line %d of %d", line, next[i], i)
		}
		next[i]++
	}
	if diff := cmp.Diff([]int{500, 500, 500, 500}, next); diff != "" {
		t.Errorf("lines of each (-want +got):\n%s", diff)
	}
}

// slow is an output that a test lets go on.
type slow struct {
	mu     sync.Mutex
	text   bytes.Buffer
	gate   chan struct{}
	accept func(p []byte) (int, error)
}

func (x *slow) Write(p []byte) (int, error) {
	if x.gate != nil {
		<-x.gate
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	n, err := len(p), error(nil)
	if x.accept != nil {
		n, err = x.accept(p)
	}
	x.text.Write(p[:n])
	return n, err
}
func (*slow) Refresh() error { return nil }
func (*slow) Close() error   { return nil }

// What does not fit while the output stands still is dropped and counted; nobody waits.
func TestDropped(t *testing.T) {
	out := &slow{gate: make(chan struct{})}
	s, c := start("test", "test", out, discard, nil), counted(t)
	began := time.Now()
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 100 {
		s.write(line, 1000, c)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Error("writing took", d)
	}
	if n := filtertest.Value(c.dropped); n != 90 {
		t.Error("dropped", n)
	}
	close(out.gate)
	if err := s.Close(); err != nil {
		t.Errorf("s.Close: %v", err)
	}
	if err := s.drained(); err != nil {
		t.Errorf("s.drained: %v", err)
	}
	if out.text.Len() != 1000 {
		t.Error("written", out.text.Len())
	}
	s.write(line, 1000, c)
	if n := filtertest.Value(c.dropped); n != 91 {
		t.Error("a line after the end is not counted:", n)
	}
}

// An output that fails in the middle of a line costs the lines that are not whole, and no others.
func TestFailed(t *testing.T) {
	full := true
	out := &slow{accept: func(p []byte) (int, error) {
		if full {
			return min(len(p), 7), errors.New("no space left on device")
		}
		return len(p), nil
	}}
	var log bytes.Buffer
	s, c := &sink{output: "test", to: out, log: slog.New(slog.NewTextHandler(&log, nil))}, counted(t)
	w := writer{sink: s}
	w.write(batch{[]byte("aaa\nbbb\nccc\n"), []*counters{c, c, c}})
	w.write(batch{[]byte("ddd\n"), []*counters{c}})
	full = false
	w.write(batch{[]byte("eee\n"), []*counters{c}})
	if got := out.text.String(); got != "aaa\nbbb\nddd\neee\n" {
		t.Errorf("the line after the torn one is not on a line of its own: %q", got)
	}
	if n := filtertest.Value(c.failed); n != 2 {
		t.Error("failed", n)
	}
	if n := strings.Count(log.String(), "no space left"); n != 1 {
		t.Errorf("reported %d times: %s", n, &log)
	}
}

func TestRotation(t *testing.T) {
	for name, rotate := range map[string]func(path string) error{
		"rename": func(path string) error { return os.Rename(path, path+".1") },
		"remove": os.Remove,
		"replace": func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		},
		"truncate":    func(path string) error { return os.Truncate(path, 0) },
		"no rotation": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.log")
			f := &file{path: path}
			if err := f.open(); err != nil {
				t.Fatalf("f.open: %v", err)
			}
			defer f.Close()
			put := func(line string) {
				t.Helper()
				if err := f.Refresh(); err != nil {
					t.Errorf("f.Refresh: %v", err)
				}
				if _, err := f.Write([]byte(line)); err != nil {
					t.Errorf("f.Write: %v", err)
				}
			}
			put("one\n")
			if err := rotate(path); err != nil {
				t.Fatalf("rotate: %v", err)
			}
			f.checked = f.checked.Add(-checkEvery)
			put("two\n")
			want := "two\n"
			if name == "no rotation" {
				want = "one\ntwo\n"
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("os.ReadFile: %v; got %q, want %q: %q", err, string(got), want, got)
			}
			if name == "rename" {
				if old, err := os.ReadFile(path + ".1"); err != nil || string(old) != "one\n" {
					t.Errorf("os.ReadFile: %v; old = %q, want %q: %q", err, string(old), "one\n", old)
				}
			}
		})
	}
}

// The name of a file is looked up once in a second, not for each write.
func TestRotationIsNoticedInASecond(t *testing.T) {
	p := config(t)
	h := filtertest.New(t, p)
	h.Get("/one")
	if err := os.Rename(p.Output, p.Output+".1"); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		h.Get("/two")
		if _, err := os.Stat(p.Output); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file was not made again")
		}
	}
	if err := p.Close(); err != nil {
		t.Fatalf("p.Close: %v", err)
	}
}

func TestRotationThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatalf("os.Mkdir: %v", err)
	}
	f := &file{path: filepath.Join(dir, "a.log")}
	if err := f.open(); err != nil {
		t.Fatalf("f.open: %v", err)
	}
	defer f.Close()
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
	f.checked = time.Time{}
	if err := f.Refresh(); err == nil || !strings.Contains(err.Error(), "old file") {
		t.Errorf("f.Refresh(): got error %v, want one with %q", err, "old file")
	}
	if _, err := f.Write([]byte("x\n")); err != nil {
		t.Error("the old file is not in use:", err)
	}
}

func TestStandardOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("os.Pipe: %v", err)
	}
	defer r.Close()
	old := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = old }()
	p := &AccessLog{Output: stdout, Buffer: 1 << 20}
	h := filtertest.New(t, p)
	h.Get("/to-stdout")
	if err := p.Close(); err != nil {
		t.Fatalf("p.Close: %v", err)
	}
	w.Close()
	b := make([]byte, 4096)
	n, err := r.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), `"path":"/to-stdout"`) {
		t.Errorf("r.Read: got %q and error %v, want one with %q: %s", b, err, `"path":"/to-stdout"`, b[:n])
	}
}
