package main

import (
	"strconv"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/golang"
)

// golangLive is the plugin "golanglive": it replies with how many streams and configurations the golang host has, and
// how many objects the bridge. The stream that asks is among them.
type golangLive struct{}

func init() { filter.Register[golangLive]("golanglive", filter.Access) }

// OnRequestHeaders replies with a JSON object of numbers.
func (*golangLive) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	streams, configurations := golang.Live()
	all := map[string]int{"streams": streams, "configurations": configurations}
	for _, name := range []string{"requests", "configs", "config_handles", "routes"} {
		if text, err := s.Attr(filter.Attr("golang_bridge." + name)); err == nil {
			all["bridge_"+name], _ = strconv.Atoi(text)
		}
	}
	return filter.ReplyJSON(200, all)
}
