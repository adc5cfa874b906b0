// Package consumers is what package assembly needs of whoever reads consumers from elsewhere than a chain's document, as
// package mosn.io/moe/pkg/consumer does from files.
package consumers

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/document"
)

// Spec is a consumer as it is written.
type Spec struct {
	document.Consumer
	// Path is where the consumer stands, for errors: the file, and the place in it.
	Path string `json:"-"`
}

// Source is a place with consumers. One goroutine at a time uses it.
type Source interface {
	// Read returns the consumers that there are now.
	Read() ([]Spec, error)
	// Follow calls take with the consumers whenever they are others than those returned last, once for each change and
	// only when the place has settled, or with the error where they cannot be read. It looks every poll, and returns when
	// ctx ends.
	Follow(ctx context.Context, poll time.Duration, take func([]Spec, error))
}

var opener atomic.Pointer[func(path string) Source]

// Register makes open what [Open] uses. It is to be called in an init function.
func Register(open func(path string) Source) { opener.Store(&open) }

// Open returns the source at path, which need not exist yet. It fails in a program without any implementation.
func Open(path string) (Source, error) {
	open := opener.Load()
	if open == nil {
		return nil, errors.New("this build cannot read consumers from files; import mosn.io/moe/pkg/consumer in its main package")
	}
	return (*open)(path), nil
}
