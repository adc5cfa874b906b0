// Package timeline reads the records of the debug view from the lines of a log, and draws them for a terminal.
package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"mosn.io/moe/framework/debugview"
)

var key = []byte(" " + debugview.RecordKey + "={")

// Parse returns the record in a line of Envoy's log, if there is one.
func Parse(line []byte) (*debugview.Record, bool) {
	at := bytes.Index(line, key)
	if at < 0 {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(line[at+len(key)-1:]))
	r := &debugview.Record{}
	if err := d.Decode(r); err != nil || r.Why == "" {
		return nil, false
	}
	return r, true
}

// Filter says which records are of interest. The zero value takes all.
type Filter struct {
	Path   string // that the request's path begins with
	Plugin string // the id of a plugin that has run
}

// Takes reports whether r is of interest.
func (f Filter) Takes(r *debugview.Record) bool {
	if !strings.HasPrefix(r.Path, f.Path) {
		return false
	}
	if f.Plugin == "" {
		return true
	}
	for _, s := range r.Steps {
		if s.Plugin == f.Plugin {
			return true
		}
	}
	return false
}

// Printer draws records as text.
type Printer struct {
	W       io.Writer
	Colours bool // for a terminal
}

// Escapes of a terminal.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	plain  = "\x1b[0m"
)

// barWidth is how many columns the time of a request has.
const barWidth = 24

// maxName bounds the column of plugins.
const maxName = 24

// Print draws one record, in one Write.
func (p *Printer) Print(r *debugview.Record) {
	var b bytes.Buffer
	status := "no response"
	if r.Status != 0 {
		status = fmt.Sprint(r.Status)
	}
	fmt.Fprintf(&b, "%s %s %s → %s  %s, plugins %s", p.in(dim, r.Time.Local().Format("15:04:05.000")),
		p.in(bold, clean(r.Method)+" "+clean(r.Path)), p.in(dim, clean(r.Host)), p.in(statusColour(r.Status), status),
		MS(r.Total), MS(r.Plugins))
	if r.Route != "" {
		fmt.Fprintf(&b, "  route %s", clean(r.Route))
	}
	if r.RequestID != "" {
		b.WriteString(p.in(dim, "  "+clean(r.RequestID)))
	}
	b.WriteByte('\n')
	width := 0
	for _, s := range r.Steps {
		width = max(width, min(utf8.RuneCountInString(clean(s.Plugin)), maxName))
	}
	for _, l := range Lines(r) {
		p.line(&b, r, width, l)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(&b, "  %s\n", p.in(dim, fmt.Sprintf("and %d more", r.Dropped)))
	}
	_, _ = p.W.Write(b.Bytes()) // nobody looks any more
}

// Line is a step or an event of a record; the other is nil.
type Line struct {
	Step  *debugview.Step
	Event *debugview.Event
}

// Lines returns the steps and events of r in the order in which they began.
func Lines(r *debugview.Record) []Line {
	var all []Line
	e := 0
	for i := range r.Steps {
		for ; e < len(r.Events) && r.Events[e].At-r.Events[e].Took < r.Steps[i].At; e++ {
			all = append(all, Line{Event: &r.Events[e]})
		}
		all = append(all, Line{Step: &r.Steps[i]})
	}
	for ; e < len(r.Events); e++ {
		all = append(all, Line{Event: &r.Events[e]})
	}
	return all
}

func (p *Printer) line(b *bytes.Buffer, r *debugview.Record, width int, l Line) {
	if l.Event != nil {
		fmt.Fprintf(b, "  %s %s\n", p.in(red, "•"), p.event(l.Event))
		return
	}
	s := l.Step
	name := clean(s.Plugin)
	if n := []rune(name); len(n) > maxName {
		name = string(n[:maxName-1]) + "…"
	}
	fmt.Fprintf(b, "  %-*s %-18s %s %s", width, name, clean(s.Phase), p.bar(r, s), MS(s.Took))
	if s.Waited > 0 {
		b.WriteString(p.in(yellow, ", waited "+MS(s.Waited)))
	}
	if s.Calls > 1 {
		fmt.Fprintf(b, ", %d times", s.Calls)
	}
	if s.Cut {
		b.WriteString(p.in(red, ", cut short"))
	}
	for _, c := range s.Changed {
		b.WriteString("  " + p.in(green, Change(c)))
	}
	b.WriteByte('\n')
}

// Change says what has become of a header: +name(size), -name or name(before→after).
func Change(c debugview.Change) string {
	name := clean(c.Name)
	switch {
	case c.Before < 0:
		return fmt.Sprintf("+%s(%d)", name, c.After)
	case c.After < 0:
		return "-" + name
	}
	return fmt.Sprintf("%s(%d→%d)", name, c.Before, c.After)
}

func (p *Printer) event(e *debugview.Event) string {
	text := Event(e)
	if e.Kind == "wait" {
		return text
	}
	return p.in(red, text)
}

// Event says what an event is, in a few words.
func Event(e *debugview.Event) string {
	plugin := clean(e.Plugin)
	switch e.Kind {
	case "reply":
		who := plugin
		if !e.Own {
			who = "the chain, because of " + plugin + ","
		}
		return fmt.Sprintf("%s replies %d  %s", who, e.Status, clean(e.Details))
	case "panic":
		return fmt.Sprintf("%s panics in %s", plugin, clean(e.Details))
	case "timeout":
		return plugin + " times out"
	case "reset":
		return "reset: " + clean(e.Details)
	case "wait":
		if plugin == "" {
			plugin = "the chain"
		}
		return fmt.Sprintf("%s waited %s for %s", plugin, MS(e.Took), clean(e.Wait))
	}
	return clean(e.Kind)
}

// bar draws when the step ran within the request.
func (p *Printer) bar(r *debugview.Record, s *debugview.Step) string {
	from, to := Span(r, s)
	first := min(int(from*barWidth), barWidth-1)
	last := max(min(int(to*barWidth+0.5), barWidth), first+1)
	return p.in(dim, strings.Repeat("·", first)) + strings.Repeat("█", last-first) + p.in(dim, strings.Repeat("·", barWidth-last))
}

// Span returns where in the time of the request a step begins and ends, from 0 to 1.
func Span(r *debugview.Record, s *debugview.Step) (from, to float64) {
	if r.Total <= 0 {
		return 0, 1
	}
	within := func(v float64) float64 { return max(0, min(1, v/r.Total)) }
	return within(s.At), within(s.At + s.Took)
}

// in returns text in a colour, where there are colours.
func (p *Printer) in(colour, text string) string {
	if !p.Colours || colour == "" || text == "" {
		return text
	}
	return colour + text + plain
}

func statusColour(status int) string {
	switch {
	case status == 0 || status >= 500:
		return red
	case status >= 400:
		return yellow
	}
	return green
}

// MS writes milliseconds with three digits that matter.
func MS(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	case v >= 1:
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.3f ms", v)
}

// clean returns text without what would move a terminal's cursor or change its colours: clients choose paths.
func clean(text string) string {
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return '�'
		}
		return c
	}, text)
}
