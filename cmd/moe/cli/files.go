package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/moefile"
)

// bootstrapFile is the bootstrap's name among the files of --split.
const bootstrapFile = "bootstrap.yaml"

// live returns the bootstrap of an Envoy that reads its certificates again when they change: it finds them by files in
// dir, which are written.
func (f *runFlags) live(file *moefile.File, echo string, golang *bootstrap.Golang, dir string) ([]byte, error) {
	o := file.Bootstrap(f.admin, echo)
	o.Golang, o.Dir, o.Static = golang, dir, true
	text, _, err := f.write(o)
	return text, err
}

// write writes the files of o and returns the bootstrap, and which files have changed.
func (f *runFlags) write(o bootstrap.Options) (text []byte, changed []string, err error) {
	b, r, err := bootstrap.Build(o)
	if err != nil {
		return nil, nil, fileError{f.file, err}
	}
	if changed, err = r.Write(o.Dir); err != nil {
		return nil, nil, err
	}
	text, err = bootstrap.YAML(b)
	return text, changed, err
}

// writeSplit writes the configuration to files, for an Envoy that is operated by others.
func (f *runFlags) writeSplit(cmd *cobra.Command, file *moefile.File) error {
	if !f.print {
		return errors.New("--split: is for --print-config")
	}
	dir, err := filepath.Abs(f.split) // Envoy may have another working directory
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--split: %w", err)
	}
	o := file.Bootstrap(f.admin, printedEcho)
	o.Golang, o.Dir = f.printed(), dir
	text, changed, err := f.write(o)
	if err != nil {
		return err
	}
	differs, err := bootstrap.WriteFile(filepath.Join(dir, bootstrapFile), text)
	if err != nil {
		return err
	}
	if differs {
		changed = append(changed, bootstrapFile)
	}
	if file.Echo {
		cmd.PrintErrf("moe: upstream: echo runs inside `moe run` only; %s stands for a server of yours\n", printedEcho)
	}
	for _, name := range changed {
		cmd.Println(filepath.Join(dir, name))
	}
	return nil
}
