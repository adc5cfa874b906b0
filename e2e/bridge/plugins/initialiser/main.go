// Command initialiser is a library whose initialiser does what the file of $MOE_INITIALISER says, and notes in the file
// $MOE_INITIALISED in which process.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
	"github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http"
	"google.golang.org/protobuf/types/known/anypb"
)

func main() {}

var table map[string]int // is nil

type parser struct{}

func (parser) Parse(*anypb.Any, api.ConfigCallbackHandler) (any, error) { return nil, nil }
func (parser) Merge(parent, _ any) any                                  { return parent }

func init() {
	http.RegisterHttpFilterFactoryAndConfigParser("passthrough", http.PassThroughFactory, parser{})
	note(os.Getpid())
	job, err := os.ReadFile(os.Getenv("MOE_INITIALISER"))
	if err != nil {
		log.Fatal(err)
	}
	switch string(job) {
	case "panic":
		fmt.Fprintln(os.Stderr, "a table is read")
		panic(fmt.Errorf("the table is\nempty"))
	case "nil":
		table["x"]++
	case "exit":
		fmt.Println("the licence has expired")
		os.Exit(3)
	case "quiet":
		os.Exit(0)
	case "signal":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "log":
		api.LogError("no connection to the vault")
		os.Exit(4)
	case "hang":
		sleep := exec.Command("sleep", "1000")
		if err := sleep.Start(); err != nil {
			log.Fatal(err)
		}
		note(sleep.Process.Pid)
		select {}
	case "surroundings":
		surroundings()
		os.Exit(5)
	}
}

func note(pid int) {
	f, err := os.OpenFile(os.Getenv("MOE_INITIALISED"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(f, pid)
	f.Close()
}

// surroundings prints, in one line, what a process that the library starts inherits from the bridge or from Envoy.
func surroundings() {
	var found []string
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "GOLANG_BRIDGE_PROBE_JOB=") || strings.HasPrefix(v, "LD_PRELOAD=") {
			found = append(found, v)
		}
	}
	for _, fd := range []string{"0", "1", "2"} {
		to, _ := os.Readlink("/proc/self/fd/" + fd)
		kind, _, _ := strings.Cut(to, ":")
		found = append(found, kind)
	}
	all, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range all {
		to, _ := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		if strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "/dev/shm") {
			found = append(found, to)
		}
	}
	fmt.Printf("found: %q\n", found)
}
