package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mosn.io/moe/internal/timeline"
)

// functions are those of the templates.
var functions = template.FuncMap{
	"ms": timeline.MS, "change": timeline.Change, "event": timeline.Event, "clean": clean, "number": number, "percent": percent,
	"clock": func(t time.Time) string { return t.Local().Format("15:04:05.000") },
	"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"spark": spark, "statusKind": statusKind,
}

// clean returns text without what is invisible or turns the direction of writing: clients choose paths.
func clean(text string) string {
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return '�'
		}
		return c
	}, text)
}

// number writes a rate with as many digits as matter.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.1:
		return fmt.Sprintf("%.2f", v)
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// percent writes n of all as a share.
func percent(n, all int) string {
	switch share := 100 * float64(n) / float64(max(all, 1)); {
	case n == 0:
		return "0 %"
	case share < 0.1:
		return "< 0.1 %"
	case share < 10:
		return fmt.Sprintf("%.1f %%", share)
	default:
		return fmt.Sprintf("%.0f %%", share)
	}
}

// Size of the drawing of a row's last minute.
const sparkWidth, sparkHeight = 120, 24

// spark is the last minute of a row, as the points of a line.
func spark(series []int) string {
	most := 1
	for _, n := range series {
		most = max(most, n)
	}
	var b strings.Builder
	for i, n := range series {
		fmt.Fprintf(&b, "%.1f,%.1f ", float64(i)*sparkWidth/float64(max(len(series)-1, 1)),
			1+(sparkHeight-2)*(1-float64(n)/float64(most)))
	}
	return strings.TrimSuffix(b.String(), " ")
}

// statusKind is the style of a status.
func statusKind(status int) string {
	switch {
	case status == 0 || status >= 500:
		return "bad"
	case status >= 400:
		return "poor"
	}
	return "good"
}
