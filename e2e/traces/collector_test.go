package traces

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

// span is one that the collector has taken.
type span struct {
	Service string // of the resource
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
	Parent  string `json:"parentSpanId"`
	Name    string `json:"name"`
	Kind    int    `json:"kind"`

	Attributes []attribute `json:"attributes"`
	Events     []struct {
		Name       string      `json:"name"`
		Attributes []attribute `json:"attributes"`
	} `json:"events"`
}

type attribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

// attr returns an attribute's value as text.
func (s span) attr(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			for _, v := range a.Value {
				return fmt.Sprint(v)
			}
		}
	}
	return ""
}

// batch is a line of the collector's.
type batch struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []attribute }
		ScopeSpans []struct{ Spans []span }
	}
	ResourceLogs []struct {
		Resource  struct{ Attributes []attribute }
		ScopeLogs []struct{ LogRecords []logRecord }
	}
	ResourceMetrics []struct {
		Resource     struct{ Attributes []attribute }
		ScopeMetrics []struct{ Metrics []metric }
	}
}

// logRecord is a line of a log that the collector has taken.
type logRecord struct {
	Service string // of the resource
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
	Level   string `json:"severityText"`
	Body    struct {
		Text string `json:"stringValue"`
	} `json:"body"`
	Attributes []attribute `json:"attributes"`
}

// metric is one that the collector has taken.
type metric struct {
	Name                  string
	Sum, Gauge, Histogram points
}

type points struct {
	DataPoints []struct {
		Attributes []attribute
		AsInt      string
		Count      string
	}
}

// note keeps the newest values of a service's metrics. c.mu is held.
func (c *collector) note(service string, m metric) {
	for kind, data := range map[string]*points{"counter": &m.Sum, "gauge": &m.Gauge, "histogram": &m.Histogram} {
		for _, p := range data.DataPoints {
			var tags []string
			for _, a := range p.Attributes {
				tags = append(tags, a.Key+"="+span{Attributes: p.Attributes}.attr(a.Key))
			}
			slices.Sort(tags)
			c.metrics[service+" "+kind+" "+m.Name+"{"+strings.Join(tags, ",")+"}"] = p.AsInt + p.Count
		}
	}
}

// metric returns the newest value of a metric, which is a histogram's count.
func (c *collector) metric(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics[name]
}

// collector is an OpenTelemetry Collector.
type collector struct {
	grpc, http string // addresses
	cmd        *exec.Cmd
	dir        string

	mu      sync.Mutex
	spans   []span
	lines   []logRecord
	metrics map[string]string // the newest values
}

// startCollector builds the collector, whose module is beside this one, or takes $E2E_OTELCOL, and starts it.
func startCollector() (*collector, error) {
	dir, err := os.MkdirTemp("", "moe-otelcol-")
	if err != nil {
		return nil, err
	}
	c := &collector{dir: dir, metrics: map[string]string{}}
	binary := os.Getenv("E2E_OTELCOL")
	if binary == "" {
		binary = filepath.Join(dir, "otelcol")
		build := exec.Command("go", "build", "-trimpath", "-o", binary, ".")
		build.Dir = "../otelcol"
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the collector: %w\n%s", err, out)
		}
	}
	for _, addr := range []*string{&c.grpc, &c.http} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*addr = ln.Addr().String()
		ln.Close()
	}
	c.cmd = exec.Command(binary, c.grpc, c.http)
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	c.cmd.Stderr = log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.read(out)
	return c, envoytest.Poll(30*time.Second, func() error {
		for _, addr := range []string{c.grpc, c.http} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			conn.Close()
		}
		return nil
	})
}

func (c *collector) stop() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
	os.RemoveAll(c.dir)
}

func (c *collector) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var b batch
		if err := json.Unmarshal(lines.Bytes(), &b); err != nil {
			panic(fmt.Sprintf("the collector prints %q: %v", lines.Text(), err))
		}
		c.mu.Lock()
		for _, r := range b.ResourceSpans {
			service := span{Attributes: r.Resource.Attributes}.attr("service.name")
			for _, s := range r.ScopeSpans {
				for _, one := range s.Spans {
					one.Service = service
					c.spans = append(c.spans, one)
				}
			}
		}
		for _, r := range b.ResourceLogs {
			service := span{Attributes: r.Resource.Attributes}.attr("service.name")
			for _, s := range r.ScopeLogs {
				for _, one := range s.LogRecords {
					one.Service = service
					c.lines = append(c.lines, one)
				}
			}
		}
		for _, r := range b.ResourceMetrics {
			service := span{Attributes: r.Resource.Attributes}.attr("service.name")
			for _, s := range r.ScopeMetrics {
				for _, m := range s.Metrics {
					c.note(service, m)
				}
			}
		}
		c.mu.Unlock()
	}
}

// trace returns the spans of a trace that have come so far.
func (c *collector) trace(id string) (all []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.TraceID == id {
			all = append(all, s)
		}
	}
	return all
}

// line returns the line of the log with a message, if it has come.
func (c *collector) line(message string) (logRecord, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.lines, func(l logRecord) bool { return l.Body.Text == message })
	if at < 0 {
		return logRecord{}, false
	}
	return c.lines[at], true
}
