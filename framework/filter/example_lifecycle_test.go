package filter_test

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Upload has all the methods that a configuration may have beside its phases.
type Upload struct {
	// Max is how large an upload may be.
	Max filter.Size `json:"max" default:"10MiB"`
	// Key signs what is stored.
	Key filter.Secret `json:"key"`
	// Labels are a route's over its parent's, except those that it empties.
	Labels map[string]string `json:"labels"`

	size  *filter.Histogram
	under *filter.Gauge
	ended *filter.Tagged[*filter.Counter]
	route *filter.Tagged2[*filter.Counter]
}

var (
	_ filter.Merger      = (*Upload)(nil)
	_ filter.Validator   = (*Upload)(nil)
	_ filter.Provisioner = (*Upload)(nil)
	_ io.Closer          = (*Upload)(nil)
)

//go:embed example_lifecycle_test.go
var files embed.FS // of a plugin: README.md and schema.json

func init() {
	options := []filter.Option{filter.Docs(files), filter.ChangesBody()}
	filter.Register[Upload]("upload", filter.Traffic, options...)
}

// Merge is for what the default merge cannot do: an empty label removes the parent's.
func (*Upload) Merge(parent, child map[string]any) (map[string]any, error) {
	merged := maps.Clone(parent)
	maps.Copy(merged, child)
	if own, ok := child["labels"].(map[string]any); ok {
		labels := map[string]any{}
		if old, ok := parent["labels"].(map[string]any); ok {
			maps.Copy(labels, old)
		}
		maps.Copy(labels, own)
		maps.DeleteFunc(labels, func(_ string, v any) bool { return v == "" })
		merged["labels"] = labels
	}
	return merged, nil
}

// Validate checks what tags cannot say.
func (u *Upload) Validate() error {
	if u.Max > 1<<30 {
		return errors.New("max: is more than the disk holds")
	}
	return nil
}

// Provision declares metrics: moe.upload.size and so on.
func (u *Upload) Provision(env *filter.Env) error {
	u.size, u.under = env.Histogram("size"), env.Gauge("under_way")
	u.ended = env.Tag("how").Counter("ended")
	u.route = env.Tag("route").Tag("method").Counter("by_route")
	return nil
}

// Close is called when no stream uses the configuration any more.
func (u *Upload) Close() error { return nil }

func (u *Upload) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	u.under.Add(1)
	route, _ := s.Attr(filter.AttrRouteName)
	u.route.With(route, h.Method()).Inc()
	return filter.Continue
}

func (u *Upload) OnRequestBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	u.size.Record(uint64(b.Len()))
	if b.Len() > int(u.Max) {
		u.ended.With("too large").Inc()
		return filter.Reply(413, "")
	}
	return filter.Continue
}

func (u *Upload) OnComplete(filter.Stream) { u.under.Add(-1) }

// A configuration is decoded with its defaults, validated, provisioned, and at last closed.
func ExampleProvisioner() {
	h := run(&Upload{Max: 4, Key: filter.NewSecret("k")})
	fmt.Println(h.Post("/", "12345").Status, h.Post("/", "1234").Status)
	fmt.Println(h.Metric("ended", "too large"), h.Metric("under_way"), h.Recorded("size"))
	fmt.Println(h.Metric("by_route", "", "POST"))

	err := new(filtertest.Host).Load(exampleT{}, filtertest.Config{Name: "upload", JSON: `{max: 2GiB}`})
	fmt.Println(err)
	// Output:
	// 413 200
	// 1 0 [5 4]
	// 2
	// max: is more than the disk holds (upload)
}

// A size is a number of bytes, or text with a unit.
func ExampleParseSize() {
	size, err := filter.ParseSize("64KiB")
	fmt.Println(int64(size), size, err)
	_, err = filter.ParseSize("a lot")
	fmt.Println(err)
	// Output:
	// 65536 64KiB <nil>
	// expected a size such as "64KiB", "10MiB" or "1MB"
}
