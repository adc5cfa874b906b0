package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("ask", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &ask{stream: stream{cb: cb, settings: s}}
	})
}

// ask reads the properties that its settings list, by phase, and has the response tell them.
type ask struct {
	stream
	told []string // header names and values in turn
}

// ask reads the properties of a phase. Values are quoted, as some are messages on the wire.
func (f *ask) ask(phase string) {
	for i, path := range strings.Split(f.settings[phase], ",") {
		v, err := f.cb.GetProperty(path)
		told := strconv.QuoteToASCII(v)
		if err != nil {
			told = "error: " + err.Error()
		}
		f.told = append(f.told, fmt.Sprintf("%s-%d", phase, i), told)
	}
}

func (f *ask) DecodeHeaders(api.RequestHeaderMap, bool) api.StatusType {
	f.ask("decode")
	return api.Continue
}

func (f *ask) EncodeHeaders(h api.ResponseHeaderMap, _ bool) api.StatusType {
	f.ask("encode")
	for i := 0; i < len(f.told); i += 2 {
		h.Set(f.told[i], f.told[i+1])
	}
	return api.Continue
}
