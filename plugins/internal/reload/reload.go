// Package reload keeps what a plugin has made of files up to date: rules, lists, policies.
package reload

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/internal/filewatch"
	"mosn.io/moe/plugins/internal/guard"
)

// Files is what plugins with rules in files have in their configuration.
type Files struct {
	// Poll is how often the files are looked at.
	Poll time.Duration `json:"poll" default:"1s"`
}

// File is a file as it was at one look.
type File = filewatch.File

// Validate checks Poll.
func (f *Files) Validate() error {
	if f.Poll != 0 && f.Poll < filewatch.MinPoll {
		return errors.New("poll: must be at least 10ms")
	}
	return nil
}

// Follow reads paths, calls load with the files, and goes on to do so, in the background, whenever they have changed
// and settled. Directories stand for the files in and below them whose names end as one of suffixes says.
//
// load takes the files' rules into use as a whole or returns an error. The first error is Follow's; later ones are
// logged and counted as reload_failed, and what was loaded before stays. Call it once, in Provision.
func (f *Files) Follow(env *filter.Env, suffixes, paths []string, load func([]File) error) error {
	done, failed := env.Counter("reloaded"), env.Counter("reload_failed")
	if len(paths) == 0 {
		return load(nil)
	}
	tree := filewatch.NewTree(func(name string) bool { return HasSuffix(name, suffixes) }, paths...)
	files, err := tree.Read()
	if err != nil {
		return err
	}
	if err := load(files); err != nil {
		return err
	}
	env.Go(func(ctx context.Context) {
		tree.Follow(ctx, cmp.Or(f.Poll, time.Second), func(files []File, err error) {
			if err == nil {
				err = guard.Do(func() error { return load(files) })
			}
			if err != nil {
				failed.Inc()
				env.Log().Error("cannot reload; what was loaded before stays", "error", err)
				return
			}
			done.Inc()
			env.Log().Info("reloaded", "files", len(files))
		})
	})
	return nil
}

// HasSuffix reports whether name ends as one of suffixes says, whatever the case.
func HasSuffix(name string, suffixes []string) bool {
	name = strings.ToLower(filepath.Base(name))
	for _, s := range suffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return len(suffixes) == 0
}
