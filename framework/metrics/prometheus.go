package metrics

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ContentType is that of [WriteText].
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// PrometheusName returns a name as Prometheus has it: with an underscore for each character that it does not allow.
func PrometheusName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, name)
}

// WriteText writes families in Prometheus' text format.
func WriteText(w io.Writer, families []Family) (int64, error) {
	var b strings.Builder
	written := map[string]bool{}
	for _, f := range families {
		name := PrometheusName(f.Name)
		if written[name] { // a.b and a-b are one name here, and a page with a name twice is refused as a whole
			continue
		}
		written[name] = true
		f.write(&b, name)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (f *Family) write(b *strings.Builder, name string) {
	if f.Help != "" {
		fmt.Fprintf(b, "# HELP %s %s\n", name, escapeHelp.Replace(f.Help))
	}
	fmt.Fprintf(b, "# TYPE %s %s\n", name, f.Kind)
	for i := range f.Series {
		s := &f.Series[i]
		labels := Labels(f.Tags, s.Values)
		if f.Kind != Histogram {
			fmt.Fprintf(b, "%s%s %d\n", name, Braces(labels), s.Value)
			continue
		}
		WriteHistogram(b, name, labels, s.Buckets, func(i int) string { return strconv.FormatInt(f.Bounds[i], 10) },
			strconv.FormatInt(s.Value, 10))
	}
}

// WriteHistogram writes a histogram's series. buckets are as in [Series]; bound returns the text of a bound.
func WriteHistogram(b *strings.Builder, name, labels string, buckets []int64, bound func(int) string, sum string) {
	sofar := int64(0)
	for i, n := range buckets {
		sofar += n
		le := "+Inf"
		if i < len(buckets)-1 {
			le = bound(i)
		}
		fmt.Fprintf(b, "%s_bucket%s %d\n", name, Braces(labels, `le="`+le+`"`), sofar)
	}
	fmt.Fprintf(b, "%s_sum%s %s\n%s_count%s %d\n", name, Braces(labels), sum, name, Braces(labels), sofar)
}

var (
	escapeValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// Labels returns tags and their values as labels, without braces. What is not UTF-8 in values is replaced.
func Labels(tags, values []string) string {
	var b strings.Builder
	for i, tag := range tags {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%s="%s"`, PrometheusName(tag), escapeValue.Replace(strings.ToValidUTF8(values[i], "\uFFFD")))
	}
	return b.String()
}

// Braces puts labels, those that are not empty, in braces; none are nothing.
func Braces(labels ...string) string {
	labels = slices.DeleteFunc(labels, func(s string) bool { return s == "" })
	if len(labels) == 0 {
		return ""
	}
	return "{" + strings.Join(labels, ",") + "}"
}
