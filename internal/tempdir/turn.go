package tempdir

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Turn waits until no other process of this user is at what name says, and has others wait until done is called. A process
// that ends gives its turn up. It fails when ctx ends first, or where the user has no folder for caches.
func Turn(ctx context.Context, name string) (done func(), err error) {
	dir, err := os.UserCacheDir() // nobody else can take turns there
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "moe")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for lock(f) != nil {
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return func() { f.Close() }, nil
}
