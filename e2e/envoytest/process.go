package envoytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"mosn.io/moe/internal/envoy"
)

// M and A write Envoy's configuration as Go literals.
type (
	M = map[string]any
	A = []any
)

// Options say how to start an Envoy.
type Options struct {
	Binary    Binary
	Dir       string   // for its configuration files and logs; exists
	Env       []string // added to the environment
	LogLevel  string   // default info
	Bootstrap M        // merged, two levels deep, into the bootstrap configuration
}

// Envoy is a running Envoy with two workers.
type Envoy struct {
	*envoy.Process
	Binary Binary
	Log    *Log   // its log
	Out    *Log   // what it and plugins write to stdout
	Dir    string // holds everything about it

	files files
}

// Start starts an Envoy and waits until it is live. Its listeners, clusters and routes come from files: see
// [Envoy.SetListeners], [Envoy.SetClusters], [Envoy.SetRoutes].
func Start(o Options) (*Envoy, error) {
	e := &Envoy{Binary: o.Binary, Dir: o.Dir}
	// They have a folder of their own, since Envoy looks whenever anything changes in the folder that it watches.
	e.files.dir = filepath.Join(o.Dir, "xds")
	if err := os.MkdirAll(e.files.dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range []string{ldsFile, cdsFile} {
		if err := e.files.write(f, nil); err != nil {
			return nil, err
		}
	}
	config, err := json.MarshalIndent(e.bootstrap(o.Bootstrap), "", " ")
	if err != nil {
		return nil, err
	}
	if e.Log, err = NewLog(filepath.Join(o.Dir, "envoy.log")); err != nil {
		return nil, err
	}
	if e.Out, err = NewLog(filepath.Join(o.Dir, "stdout.log")); err != nil {
		return nil, err
	}
	e.Process, err = envoy.Start(context.Background(), envoy.Options{
		Path: o.Binary.Path, Config: config, Concurrency: 2, LogLevel: o.LogLevel, Env: o.Env,
		Args: []string{"--drain-time-s", "1", "--drain-strategy", "immediate", "--file-flush-interval-msec", "20"},
		Log:  e.Log, Stdout: e.Out, StopTimeout: 15 * time.Second,
	})
	return e, err
}

func (e *Envoy) bootstrap(more M) M {
	source := func(file string) M {
		return M{"path_config_source": M{"path": filepath.Join(e.files.dir, file)}, "resource_api_version": "V3"}
	}
	boot := M{
		"node":                 M{"id": "e2e", "cluster": "e2e"},
		"admin":                M{"address": Address("127.0.0.1:0")},
		"stats_flush_interval": "0.1s", // histograms are merged then
		"dynamic_resources":    M{"lds_config": source(ldsFile), "cds_config": source(cdsFile)},
	}
	for k, v := range more {
		into, ours := boot[k].(M)
		if given, ok := v.(M); ok && ours {
			maps.Copy(into, given)
		} else {
			boot[k] = v
		}
	}
	return boot
}

// Alive returns an error that says how Envoy ended, if it has.
func (e *Envoy) Alive() error {
	select {
	case <-e.Done():
		return fmt.Errorf("envoy %s has ended: %w", e.Binary.Version, e.Err())
	default:
		return nil
	}
}

var crashRE = regexp.MustCompile(`(?m)^.*(Caught [A-Z][a-z]+ .*fault|assert failure|Caught Aborted|^fatal error: |^panic: ` +
	`|\[critical\]\[backtrace\]).*$`)

// Stop ends Envoy and returns an error if it had crashed or did not end cleanly.
func (e *Envoy) Stop() error {
	err := e.Process.Stop()
	if m := crashRE.FindString(e.Log.Since(0)); m != "" {
		return fmt.Errorf("envoy %s crashed: %s", e.Binary.Version, m)
	}
	return err
}

// RSS returns Envoy's resident memory in bytes.
func (e *Envoy) RSS() (int64, error) { return RSS(e.Pid()) }

// RSS returns the resident memory of a process in bytes.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(b)
	n, err := strconv.ParseInt(string(f[1]), 10, 64)
	return n * int64(os.Getpagesize()), err
}

// Final makes [Poll] give up at once.
func Final(err error) error { return final{err} }

type final struct{ error }

// Poll calls f, more and more slowly, until it returns nil or patience is over, and returns its last error.
func Poll(patience time.Duration, f func() error) error {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := f()
		if fin, ok := err.(final); ok {
			return fin.error
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}
