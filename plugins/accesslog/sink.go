package accesslog

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
)

// sink writes lines to one output. Instances with one output share it, so that their lines never mix. Writers append
// to memory only. One goroutine writes what has gathered within a few milliseconds in one piece: so a busy log needs
// few system calls, and a worker seldom has to wake the goroutine, which would cost it more than the line.
type sink struct {
	key    string        // of sinks and written
	output string        // for people
	wake   chan struct{} // the first line since the goroutine found none
	hurry  chan struct{} // do not wait for more
	done   chan struct{} // closed when the goroutine has ended
	log    *slog.Logger
	to     destination

	mu      sync.Mutex
	waiting batch
	awake   bool // the goroutine will look at waiting without being told
	closing bool
	writing int // bytes that the goroutine has in hand
}

// batch is lines, one after the other, and whose each is.
type batch struct {
	text   []byte
	owners []*counters
}

// destination is where a sink writes.
type destination interface {
	io.Writer
	// Refresh is called before each write.
	Refresh() error
	Close() error
}

// closeTimeout bounds how long a plugin that closes waits for a slow output.
const closeTimeout = 5 * time.Second

// gather is how long a line waits for others.
const gather = 10 * time.Millisecond

// maxIdleBatch bounds the memory that a burst leaves behind.
const maxIdleBatch = 1 << 20

// sinks are those in use, by their outputs.
var sinks filter.Shared[string, *sink]

// written has, by output, a channel that is closed when the latest closed sink of the output has written all.
var written sync.Map

// acquire returns the sink of output, which it opens for its first user, and a function that releases it.
func acquire(output string, server *Server, log *slog.Logger) (s *sink, release func() error, err error) {
	u, err := serverOf(output)
	if err != nil {
		return nil, nil, fmt.Errorf("output: %w", err)
	}
	key, name := output, output
	switch {
	case u != nil:
		key += " " + server.key()
		name = u.Redacted()
	case output != stdout && output != stderr:
		if output, err = resolve(output); err != nil {
			return nil, nil, fmt.Errorf("output: %w", err)
		}
		key, name = output, output
	}
	return sinks.Acquire(key, func() (*sink, error) {
		to, err := openOutput(output, u, server)
		if err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		after, _ := written.Load(key)
		last, _ := after.(<-chan struct{})
		return start(key, name, to, log, last), nil
	})
}

func openOutput(output string, u *url.URL, server *Server) (destination, error) {
	if u != nil {
		return kinds[u.Scheme](u, server)
	}
	return open(output)
}

// resolve gives one file one name, also where a folder on the way is a symbolic link.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// start returns a sink that writes once after is closed, if it is not nil.
func start(key, output string, to destination, log *slog.Logger, after <-chan struct{}) *sink {
	s := &sink{
		key: key, output: output, to: to, log: log, wake: make(chan struct{}, 1),
		hurry: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go func() { //moe:goroutine run recovers; a sink outlives the configurations that share it
		if after != nil {
			<-after
		}
		s.run()
	}()
	return s
}

// Close has the goroutine write what waits, and end. It does not wait for that, as the output may be slow and the next
// sink need not: it writes after this one.
func (s *sink) Close() error {
	var done <-chan struct{} = s.done
	written.Store(s.key, done)
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	signal(s.wake)
	signal(s.hurry)
	return nil
}

// drained waits until all lines are written, if s is closed.
func (s *sink) drained() error {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if !closing {
		return nil
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(closeTimeout):
		return fmt.Errorf("output %s: lines were not written within %v", s.output, closeTimeout)
	}
}

// flush waits until all that was written before is out, a few seconds at most.
func (s *sink) flush() {
	for deadline := time.Now().Add(closeTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		idle := len(s.waiting.text) == 0 && s.writing == 0
		s.mu.Unlock()
		if idle {
			return
		}
		signal(s.hurry)
	}
}

// signal does nothing if there is a signal that was not taken yet.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write queues a line, or drops it where more than limit bytes would wait. It never waits for the output.
func (s *sink) write(line []byte, limit int64, owner *counters) {
	s.mu.Lock()
	before := int64(len(s.waiting.text) + s.writing)
	after := before + int64(len(line))
	if s.closing || after > limit {
		s.mu.Unlock()
		owner.dropped.Inc()
		return
	}
	s.waiting.text = append(s.waiting.text, line...)
	s.waiting.owners = append(s.waiting.owners, owner)
	asleep := !s.awake
	s.awake = true
	s.mu.Unlock()
	if asleep {
		signal(s.wake)
	}
	if before <= limit/2 && after > limit/2 {
		signal(s.hurry)
	}
}

// run writes until s is closed and nothing waits.
func (s *sink) run() {
	defer close(s.done)
	defer func() {
		if p := recover(); p != nil { // the process is Envoy's
			s.log.Error("panic", "value", p, "stack", string(debug.Stack()))
		}
	}()
	defer func() {
		if err := s.to.Close(); err != nil {
			s.log.Error("close the access log", "output", s.output, "error", err)
		}
	}()
	w, timer := writer{sink: s}, time.NewTimer(0)
	defer timer.Stop()
	var b batch
	for range s.wake {
		for {
			timer.Reset(gather)
			select {
			case <-timer.C:
			case <-s.hurry:
			}
			var closing bool
			if b, closing = s.take(b); closing && len(b.text) == 0 {
				return
			}
			if len(b.text) == 0 {
				break
			}
			w.write(b)
			clear(b.owners)
			if cap(b.text) > maxIdleBatch {
				b = batch{}
			}
		}
	}
}

// take returns what waits, and has spare filled next. If nothing waits, the next line wakes the goroutine again.
func (s *sink) take(spare batch) (b batch, closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, s.waiting = s.waiting, batch{spare.text[:0], spare.owners[:0]}
	s.writing = len(b.text)
	s.awake = len(b.text) > 0
	if s.closing {
		signal(s.hurry)
	}
	return b, s.closing
}

// writer writes batches and accounts for what fails.
type writer struct {
	*sink
	torn     bool // the output ends in the middle of a line
	reported time.Time
}

func (w *writer) write(b batch) {
	if err := w.to.Refresh(); err != nil {
		w.report("reopen the access log", err)
	}
	text := b.text
	if w.torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := w.to.Write(text)
	if n > 0 {
		w.torn = text[n-1] != '\n'
	}
	if err == nil {
		return
	}
	if len(text) > len(b.text) && n > 0 {
		n--
	}
	for _, owner := range b.owners[bytes.Count(b.text[:n], []byte{'\n'}):] {
		owner.failed.Inc()
	}
	w.report("write the access log", err)
}

// report logs one error in a minute.
func (w *writer) report(what string, err error) {
	if now := time.Now(); now.Sub(w.reported) >= time.Minute {
		w.reported = now
		w.log.Error(what, "output", w.output, "error", err)
	}
}
