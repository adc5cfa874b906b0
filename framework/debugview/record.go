package debugview

import (
	"encoding/json"
	"strings"
	"time"
)

// Bounds of a record.
const (
	maxSteps   = 256      // plugins and phases
	maxEvents  = 64       // replies, panics and so on
	maxChanges = 32       // headers that one step has changed
	maxText    = 256      // bytes of a name, a path or details
	maxRecord  = 32 << 10 // bytes of the JSON
)

// Record is what is shown of one request. Its times are milliseconds.
type Record struct {
	Why       string    `json:"why"` // the request was recorded: token, header, sample or slow
	RequestID string    `json:"request_id,omitempty"`
	TraceID   string    `json:"trace_id,omitempty"` // of the header traceparent
	Time      time.Time `json:"time"`               // when the request's headers came to the chain
	Route     string    `json:"route,omitempty"`
	Method    string    `json:"method,omitempty"`
	Host      string    `json:"host,omitempty"`
	Path      string    `json:"path,omitempty"`   // without the query
	Status    int       `json:"status,omitempty"` // of the response; absent where none has come
	Total     float64   `json:"ms"`               // until the stream's end
	Plugins   float64   `json:"plugins_ms"`       // of the plugins together, with what they waited for their own calls
	Steps     []Step    `json:"steps"`            // in the order in which they began
	Events    []Event   `json:"events,omitempty"` // in the order in which they happened
	Dropped   int       `json:"dropped,omitempty"`
}

// Step is a phase of a plugin.
type Step struct {
	Plugin  string   `json:"plugin"` // its id
	Phase   string   `json:"phase"`
	At      float64  `json:"at_ms"` // when it ran first, from the record's time
	Took    float64  `json:"ms"`    // with what it waited for its own calls
	Waited  float64  `json:"waited_ms,omitempty"`
	Calls   int      `json:"calls,omitempty"` // of a phase that runs for each piece of a body; absent for one
	Cut     bool     `json:"cut,omitempty"`   // it ended without a decision: the stream was answered or over, or it failed
	Changed []Change `json:"changed,omitempty"`
}

// Change is what a step has made of the fields of one name.
type Change struct {
	Name   string `json:"name"`
	Before int    `json:"before"` // bytes of the values together; -1: there was none
	After  int    `json:"after"`  // -1: there is none any more
}

// Event is something that happened beside the steps.
type Event struct {
	At      float64 `json:"at_ms"`
	Kind    string  `json:"kind"` // reply, reset, panic, timeout or wait
	Plugin  string  `json:"plugin,omitempty"`
	Status  int     `json:"status,omitempty"`  // of a reply
	Own     bool    `json:"own,omitempty"`     // the reply is the plugin's own; otherwise the chain replies because of it
	Wait    string  `json:"wait,omitempty"`    // of a wait or timeout: go, body or consumer
	Took    float64 `json:"ms,omitempty"`      // of a wait
	Details string  `json:"details,omitempty"` // of a reply, reset or panic
}

// encode returns r as JSON of at most maxRecord bytes: what is too much is dropped from the end, and counted.
func (r *Record) encode() []byte {
	for {
		b, err := json.Marshal(r)
		if err != nil {
			panic(err) // the types above all have a form in JSON
		}
		if len(b) <= maxRecord {
			return b
		}
		steps, events := len(r.Steps)/2, len(r.Events)/2
		r.Dropped += len(r.Steps) - steps + len(r.Events) - events
		r.Steps, r.Events = r.Steps[:steps], r.Events[:events]
	}
}

// bounded returns at most maxText bytes of text.
func bounded(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

func ms(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
