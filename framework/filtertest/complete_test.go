package filtertest_test

import (
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// completes asks the host in OnComplete.
type completes struct {
	attr          string
	attrErr, last error
	kept          filter.Stream
}

func (p *completes) OnComplete(s filter.Stream) {
	p.attr, p.attrErr = s.Attr(filter.AttrRouteName)
	p.last = s.SetMetadata("test", "completed", true)
	p.kept = s
}

func init() { filter.Register[completes]("completes", filter.Observe) }

// TestOnComplete has a plugin ask the host in OnComplete, as it can in Envoy, and afterwards, as it cannot.
func TestOnComplete(t *testing.T) {
	p := &completes{}
	h := filtertest.New(t, p)
	h.Attrs = map[filter.Attr]string{filter.AttrRouteName: "r"}
	r := h.Get("/")
	if p.attr != "r" || p.attrErr != nil || p.last != nil {
		t.Errorf("in OnComplete the attribute is %q, %v, and SetMetadata returns %v; want \"r\" and no errors", p.attr, p.attrErr, p.last)
	}
	if got := r.Metadata["test/completed"]; got != true {
		t.Errorf("the metadata that OnComplete has set is %v, want true", got)
	}
	if _, err := p.kept.Attr(filter.AttrRouteName); err != filter.ErrStreamDone {
		t.Errorf("after the stream's end Attr returns %v, want ErrStreamDone", err)
	}
}
