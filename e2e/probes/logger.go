package probes

import (
	"encoding/json"
	"os"
	"sync"

	"mosn.io/moe/framework/accesslog"
)

// Logger is an access logger that misbehaves as its configuration asks, and writes down what it finds.
type Logger struct {
	Output string `json:"output" validate:"required"` // a file, for a JSON object a line
	Do     string `json:"do" enum:"fields,panic,late,elsewhere"`

	mu   sync.Mutex
	kept []accesslog.Entry
	env  *accesslog.Env
	seen *accesslog.Counter
}

func init() { accesslog.Register[Logger]("probe") }

// Provision declares a metric.
func (l *Logger) Provision(env *accesslog.Env) error {
	l.env, l.seen = env, env.Counter("entries")
	return nil
}

// Log does what Do says.
func (l *Logger) Log(e accesslog.Entry) {
	l.seen.Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.Do {
	case "panic":
		panic("as told")
	case "fields":
		l.write(found(e))
	case "late": // asks the entries before for what they were
		late := map[string]any{}
		for _, old := range l.kept {
			for k, v := range found(old) {
				late[k] = v
			}
		}
		l.kept = append(l.kept, e)
		l.write(map[string]any{"late": late, "entries": len(l.kept)})
	case "elsewhere":
		done := make(chan map[string]any)
		go func() { done <- found(e) }()
		l.write(map[string]any{"elsewhere": <-done, "here": len(found(e))})
	}
}

func (l *Logger) write(v any) {
	f, err := os.OpenFile(l.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		l.env.Log().Error("open", "error", err)
		return
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(v); err != nil {
		l.env.Log().Error("write", "error", err)
	}
}

// found asks an entry for everything, and returns what it has, by name.
func found(e accesslog.Entry) map[string]any {
	all := map[string]any{}
	for f := accesslog.TextField(0); f.String() != ""; f++ {
		if v, ok := e.Text(f); ok && v != "" {
			all[f.String()] = v
		}
	}
	for f := accesslog.NumberField(0); f.String() != ""; f++ {
		if n := e.Number(f); n != 0 {
			all[f.String()] = n
		}
	}
	for f := accesslog.TruthField(0); f.String() != ""; f++ {
		if e.Truth(f) {
			all[f.String()] = true
		}
	}
	for f := accesslog.AddrField(0); f.String() != ""; f++ {
		if a := e.Addr(f); a.IsValid() {
			all[f.String()] = a.String()
		}
	}
	for f := accesslog.ListField(0); f.String() != ""; f++ {
		if names := e.List(f); names != nil {
			all[f.String()] = names
		}
	}
	for f := accesslog.TimeField(0); f.String() != ""; f++ {
		if t, ok := e.Time(f); ok {
			all[f.String()] = t.UTC()
		}
	}
	if flags := e.Flags(); flags != 0 {
		all["flags"] = flags.String()
	}
	if t := e.Times(); !t.Start.IsZero() {
		all["times"] = t
	}
	if b := e.Bytes(); b != (accesslog.Bytes{}) {
		all["bytes"] = b
	}
	headers := map[string]string{}
	for k, v := range e.RequestHeaders() {
		headers[k] = v
	}
	for k, v := range e.ResponseHeaders() {
		headers["response "+k] = v
	}
	for k, v := range e.ResponseTrailers() {
		headers["trailer "+k] = v
	}
	if len(headers) > 0 {
		all["headers"] = headers
	}
	if v, ok := e.RequestHeader("x-probe"); ok {
		all["x-probe"] = v
	}
	for _, path := range []string{"text", "number", "truth"} {
		if v, ok := e.Metadata("probe", path); ok {
			all["metadata "+path] = v
		}
	}
	return all
}
