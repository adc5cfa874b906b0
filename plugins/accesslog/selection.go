package accesslog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/match"
)

// Selection is for the streams that meet all of its conditions, or for a share of them.
type Selection struct {
	match.Match
	// Statuses lists statuses of responses: 404, 400-499 or 5xx. 0 is that of a stream without a response.
	Statuses []string `json:"statuses"`
	// SlowerThan is for streams that took longer.
	SlowerThan time.Duration `json:"slowerThan"`
	// Incomplete is for streams whose response was not sent to its end.
	Incomplete bool `json:"incomplete"`
	// Percentage is how many of a hundred of these streams are logged, by chance.
	Percentage float64 `json:"percentage" default:"100" validate:"min=0,max=100"`

	ranges []statusRange
}

type statusRange struct{ first, last int }

var statusForms = regexp.MustCompile(`^(?:([0-9]{1,3})(?:-([0-9]{3}))?|([1-5])xx)$`)

func (x *Selection) validate() error {
	errs := []error{x.Match.Validate()}
	x.ranges = nil
	for i, text := range x.Statuses {
		m := statusForms.FindStringSubmatch(text)
		if m == nil {
			errs = append(errs, fmt.Errorf("statuses[%d]: expected a status such as 404, 400-499 or 5xx", i))
			continue
		}
		var r statusRange
		if m[3] != "" {
			r.first, _ = strconv.Atoi(m[3] + "00")
			r.last = r.first + 99
		} else {
			r.first, _ = strconv.Atoi(m[1])
			if r.last = r.first; m[2] != "" {
				r.last, _ = strconv.Atoi(m[2])
			}
		}
		if r.first > r.last {
			errs = append(errs, fmt.Errorf("statuses[%d]: ends before it begins", i))
		}
		x.ranges = append(x.ranges, r)
	}
	if x.SlowerThan < 0 {
		errs = append(errs, errors.New("slowerThan: must not be negative"))
	}
	return errors.Join(errs...)
}

// selected has paths compared as they are when the stream is complete, decoded and resolved.
var selected = authz.Path{Mode: "normalize"}

// selects reports whether a stream is logged. A condition that cannot be evaluated is met: a log should rather have too much.
func (p *AccessLog) selects(x *stream, s filter.Stream, now time.Time) bool {
	if len(p.Only) == 0 {
		return true
	}
	r, _ := selected.Request(s, s.RequestHeaders()) // no path is ambiguous to the mode normalize
	status := s.ResponseHeaders().Status()
	for i := range p.Only {
		o := &p.Only[i]
		if len(o.ranges) > 0 && !o.has(status) || o.SlowerThan > 0 && now.Sub(x.start) <= o.SlowerThan ||
			o.Incomplete && x.completed {
			continue
		}
		if is, err := o.Is(&r); !is && err == nil {
			continue
		}
		if o.Percentage >= 100 || rand.Float64()*100 < o.Percentage {
			return true
		}
	}
	return false
}

func (x *Selection) has(status int) bool {
	for _, r := range x.ranges {
		if r.first <= status && status <= r.last {
			return true
		}
	}
	return false
}
