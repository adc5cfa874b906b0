package main

import (
	"fmt"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
	"github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http"
	"google.golang.org/protobuf/types/known/anypb"
)

func init() {
	http.RegisterHttpFilterFactoryAndConfigParser("metric", func(c any, cb api.FilterCallbackHandler) api.StreamFilter {
		return &metric{stream: stream{cb: cb}, metrics: c.(*metrics)}
	}, metricParser{})
}

type metrics struct {
	counter api.CounterMetric
	gauge   api.GaugeMetric
}

type metricParser struct{ parser }

func (metricParser) Parse(a *anypb.Any, cb api.ConfigCallbackHandler) (any, error) {
	s, err := parse(a)
	if err != nil {
		return nil, err
	}
	return &metrics{cb.DefineCounterMetric(s["prefix"] + "counter"), cb.DefineGaugeMetric(s["prefix"] + "gauge")}, nil
}

// metric changes metrics and tells the upstream what they are then.
type metric struct {
	stream
	*metrics
}

func (f *metric) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	return f.run(f.decoder(), func() api.StatusType {
		f.counter.Increment(2)
		h.Set("counter", fmt.Sprint(f.counter.Get()))
		f.counter.Record(1)
		h.Set("counter-recorded", fmt.Sprint(f.counter.Get()))
		f.gauge.Increment(3)
		h.Set("gauge", fmt.Sprint(f.gauge.Get()))
		f.gauge.Record(1)
		h.Set("gauge-recorded", fmt.Sprint(f.gauge.Get()))
		return api.Continue
	})
}
