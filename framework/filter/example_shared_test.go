package filter_test

import (
	"fmt"
	"os"
	"path/filepath"

	"mosn.io/moe/framework/filter"
)

// Audit appends a line for each request to a file, which may be that of other configurations too.
type Audit struct {
	File   string `json:"file"`
	Prefix string `json:"prefix"`

	file    *os.File
	release func() error
}

// auditFiles are the files that are open: one is opened once, however many configurations write to it.
var auditFiles filter.Shared[string, *os.File]

// Provision opens the file, or gets it from another configuration.
func (p *Audit) Provision(*filter.Env) (err error) {
	p.file, p.release, err = auditFiles.Acquire(p.File, func() (*os.File, error) {
		return os.OpenFile(p.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	})
	return err
}

// Close closes the file if no other configuration has it. Where Provision has failed there is nothing to release.
func (p *Audit) Close() error {
	if p.release == nil {
		return nil
	}
	return p.release()
}

// OnRequestHeaders writes the line.
func (p *Audit) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	fmt.Fprintln(p.file, p.Prefix, h.Path())
	return filter.Continue
}

func init() { filter.Register[Audit]("audit", filter.Traffic) }

// Two configurations write to one file, which is opened once.
func ExampleShared() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "audit.log")
	shop, bank := &Audit{File: file, Prefix: "shop"}, &Audit{File: file, Prefix: "bank"}
	run(shop, bank).Get("/a")
	fmt.Println("one file:", shop.file == bank.file)
	text, _ := os.ReadFile(file)
	fmt.Print(string(text))
	// Output:
	// one file: true
	// shop /a
	// bank /a
}
