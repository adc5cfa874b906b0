package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/internal/doccomments"
)

// module is the path of this module; plugins of others have their schemas elsewhere.
const module = "mosn.io/moe"

// generate makes the schemas of regs, writes those that differ from what is there if write is set, and returns their
// paths.
func generate(regs []*extension.Registration, write bool) (changed []string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	comments := commentsOf(root)
	for _, reg := range regs {
		dir, ok := strings.CutPrefix(reg.Config.PkgPath(), module+"/plugins/")
		if !ok {
			continue
		}
		path := filepath.Join(root, "plugins", filepath.FromSlash(dir), "schema.json")
		if dir != reg.Name {
			return changed, fmt.Errorf("plugin %s is in plugins/%s; a plugin's folder has its name", reg.Name, dir)
		}
		text, err := config.Reflect(reg.Name, reg.Config, comments.Of)
		if err != nil {
			return changed, fmt.Errorf("plugin %s: %w", reg.Name, err)
		}
		if comments.Err != nil {
			return changed, comments.Err
		}
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
			continue
		}
		changed = append(changed, path)
		if !write {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// moduleRoot looks for go.mod from the working directory upwards.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module "+module+"\n")) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run it in a folder of the module " + module)
		}
		dir = up
	}
}

// commentsOf reads the packages of this module.
func commentsOf(root string) *doccomments.Comments {
	return &doccomments.Comments{Dir: func(path string) string {
		dir, ok := strings.CutPrefix(path, module+"/")
		if !ok {
			return ""
		}
		return filepath.Join(root, filepath.FromSlash(dir))
	}}
}

var _ config.Docs = (*doccomments.Comments)(nil).Of
