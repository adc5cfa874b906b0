// Package parsers tests those parts of the bridge that read what operators, plugins and files contain: json.cc, wire.cc
// and elf.cc. They run in a process of their own, with the address and undefined-behaviour sanitizers, and what they
// return is compared with what Go's libraries make of the same input.
package parsers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

// patience is how long one input may take.
const patience = time.Minute

var program string

func TestMain(m *testing.M) {
	flag.Parse()
	root, err := envoytest.Root()
	if err == nil {
		program = filepath.Join(root, "build", "sanitize", "parsers")
		// The workers of a fuzz test find what it has built.
		if worker := flag.Lookup("test.fuzzworker"); worker == nil || worker.Value.String() != "true" {
			err = build(root)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func build(root string) error {
	out, err := exec.Command("make", "-C", root, "build/sanitize/parsers").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the bridge's parsers: %w\n%s", err, out)
	}
	return nil
}

// driver is the process with the parsers, which one test uses at a time.
var driver struct {
	sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *bytes.Buffer
}

// run gives an input to the parser that what names, see testdata/driver.cc.
func run(t testing.TB, what byte, input []byte) (output string, good bool) {
	t.Helper()
	driver.Lock()
	defer driver.Unlock()
	if driver.cmd == nil {
		if err := startDriver(); err != nil {
			t.Fatalf("startDriver: %v", err)
		}
	}
	late := time.AfterFunc(patience, func() { _ = driver.cmd.Process.Kill() })
	output, good, err := exchange(what, input)
	if late.Stop() && err == nil {
		return output, good
	}
	_ = driver.in.Close()
	end := driver.cmd.Wait()
	driver.cmd = nil
	t.Fatalf("the parser has ended (%v), or did not within %v: %v\n%s", end, patience, err, driver.stderr)
	return "", false
}

func startDriver() (err error) {
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "UBSAN_OPTIONS=print_stacktrace=1")
	driver.stderr = new(bytes.Buffer)
	cmd.Stderr = driver.stderr
	if driver.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	driver.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return err
	}
	driver.cmd = cmd
	return nil
}

func exchange(what byte, input []byte) (output string, good bool, err error) {
	request := binary.NativeEndian.AppendUint32([]byte{what}, uint32(len(input)))
	if _, err := driver.in.Write(append(request, input...)); err != nil {
		return "", false, err
	}
	var head [5]byte
	if _, err := io.ReadFull(driver.out, head[:]); err != nil {
		return "", false, err
	}
	body := make([]byte, binary.NativeEndian.Uint32(head[1:]))
	_, err = io.ReadFull(driver.out, body)
	return string(body), head[0] == 1, err
}

// tree reads the driver's form of a document. If an object has a name twice, the last one counts, as it does for the bridge.
func tree(t testing.TB, s string) any {
	t.Helper()
	v, rest, err := readTree(s)
	if err != nil || rest != "" {
		t.Fatalf("the driver wrote %q: %v, then %q", s, err, rest)
	}
	return v
}

func readTree(s string) (v any, rest string, err error) {
	if s == "" {
		return nil, "", io.ErrUnexpectedEOF
	}
	kind, s := s[0], s[1:]
	switch kind {
	case 'n':
		return nil, s, nil
	case 't', 'f':
		return kind == 't', s, nil
	case 'd':
		bits, err := strconv.ParseUint(s[:16], 16, 64)
		return math.Float64frombits(bits), s[16:], err
	case 's':
		length, s, _ := strings.Cut(s, ":")
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil, s, err
		}
		return s[:n], s[n:], nil
	case '[':
		list := []any{}
		for !strings.HasPrefix(s, "]") {
			if v, s, err = readTree(s); err != nil {
				return nil, s, err
			}
			list = append(list, v)
		}
		return list, s[1:], nil
	case '{':
		object := map[string]any{}
		for !strings.HasPrefix(s, "}") {
			var name any
			if name, s, err = readTree(s); err != nil {
				return nil, s, err
			}
			if v, s, err = readTree(s); err != nil {
				return nil, s, err
			}
			object[name.(string)] = v
		}
		return object, s[1:], nil
	}
	return nil, s, fmt.Errorf("%q is not a kind", kind)
}

// same compares documents. It compares numbers by their bits, since one may be NaN.
func same(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name := range a {
			if other, there := b[name]; !there || !same(a[name], other) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

// depth returns how many lists and objects the deepest value of v is in.
func depth(v any) int {
	deepest := -1
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	}
	return deepest + 1
}
