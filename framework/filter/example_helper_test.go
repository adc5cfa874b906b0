package filter_test

import (
	"fmt"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// exampleT lets an example use filtertest, which a plugin's test calls with its *testing.T.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                      {}
func (exampleT) Cleanup(func())               {}
func (exampleT) Errorf(f string, args ...any) { fmt.Printf("error: "+f+"\n", args...) }
func (exampleT) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (exampleT) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// run returns a host in memory that runs plugins.
func run(plugins ...any) *filtertest.Host { return filtertest.New(exampleT{}, plugins...) }
