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

	queued, finished int64     // bytes of lines, since the start: those taken, and those of them written or lost
	failing          bool      // the last write failed
	flushBy          time.Time // how long flushes wait that have begun; zero: none waits
}

// batch is lines, one after the other, and whose each is.
type batch struct {
	text   []byte
	owners []*counters
}

// destination is where a sink writes: an appender, or a remote.
type destination interface{ io.Closer }

// appender takes bytes in order, and may take a part of what it is given.
type appender interface {
	destination
	io.Writer
	// Refresh is called before each write.
	Refresh() error
}

// remote takes lines, and knows which of them it has lost: one that cannot be sent takes no others with it.
type remote interface {
	destination
	// send sends whole lines and calls lost for each that did not arrive, as far as is known, by its number in lines.
	send(lines []byte, lost func(line int)) error
	// abort ends a send that is under way, soon. Any goroutine may call it.
	abort()
}

// closeTimeout bounds how long a plugin that closes waits for a slow output.
const closeTimeout = 5 * time.Second

// flushTimeout bounds how long all of Envoy's threads together wait for one, as they serve nobody meanwhile.
const flushTimeout = time.Second

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
		name = nameOf(u)
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
	if r, ok := s.to.(remote); ok {
		time.AfterFunc(closeTimeout, r.abort)
	}
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

// flush waits until what was written before is out, for a second at most, and not for an output that fails. Flushes that
// run at once, or one after the other while the output stands still, share that second.
func (s *sink) flush() {
	s.mu.Lock()
	target := s.queued
	if s.flushBy.IsZero() {
		s.flushBy = time.Now().Add(flushTimeout)
	}
	by := s.flushBy
	s.mu.Unlock()
	for !s.flushed(target) && time.Now().Before(by) {
		signal(s.hurry)
		time.Sleep(time.Millisecond)
	}
}

// flushed reports whether there is nothing to wait for.
func (s *sink) flushed(target int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished >= target {
		s.flushBy = time.Time{}
		return true
	}
	return s.failing
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
	before := s.queued - s.finished
	after := before + int64(len(line))
	if s.closing || after > limit {
		s.mu.Unlock()
		owner.dropped.Inc()
		return
	}
	s.waiting.text = append(s.waiting.text, line...)
	s.waiting.owners = append(s.waiting.owners, owner)
	s.queued += int64(len(line))
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
			s.finish(int64(len(b.text)), w.write(b))
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
	s.awake = len(b.text) > 0
	if s.closing {
		signal(s.hurry)
	}
	return b, s.closing
}

// finish notes that n bytes are written, or lost where err is not nil.
func (s *sink) finish(n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished += n
	s.failing = err != nil
}

// writer writes batches and accounts for what fails.
type writer struct {
	*sink
	torn     bool // the output ends in the middle of a line
	reported time.Time
}

func (w *writer) write(b batch) (err error) {
	switch to := w.to.(type) {
	case remote:
		err = to.send(b.text, func(line int) { b.owners[line].failed.Inc() })
	case appender:
		err = w.append(to, b)
	}
	if err != nil {
		w.report("write the access log", err)
	}
	return err
}

func (w *writer) append(to appender, b batch) error {
	if err := to.Refresh(); err != nil {
		w.report("reopen the access log", err)
	}
	text := b.text
	if w.torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := to.Write(text)
	if n > 0 {
		w.torn = text[n-1] != '\n'
	}
	if err == nil {
		return nil
	}
	if len(text) > len(b.text) && n > 0 {
		n--
	}
	for _, owner := range b.owners[bytes.Count(b.text[:n], []byte{'\n'}):] {
		owner.failed.Inc()
	}
	return err
}

// report logs one error in a minute.
func (w *writer) report(what string, err error) {
	if now := time.Now(); now.Sub(w.reported) >= time.Minute {
		w.reported = now
		w.log.Error(what, "output", w.output, "error", err)
	}
}
