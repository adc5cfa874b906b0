package parsers

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// library compiles a small shared library.
func library(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.so")
	cmd := exec.Command("cc", "-shared", "-fPIC", "-s", "-nostdlib", "-o", path, "-x", "c", "-")
	cmd.Stdin = strings.NewReader("int ours(void) { extern int theirs(void); return theirs(); }\nint data = 1;\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	lib, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	return lib
}

// read has the bridge read a file's symbols.
func read(t testing.TB, lib []byte) (answer string, good bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lib.so")
	if err := os.WriteFile(path, lib, 0o644); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	return run(t, 'e', []byte(path))
}

// symbols are what debug/elf finds, in the driver's form.
func symbols(lib []byte) (lines []string, err error) {
	f, err := elf.NewFile(bytes.NewReader(lib))
	if err != nil {
		return nil, err
	}
	all, err := f.DynamicSymbols()
	for _, s := range all {
		switch {
		case s.Name == "":
		case s.Section == elf.SHN_UNDEF:
			lines = append(lines, "-"+s.Name)
		default:
			lines = append(lines, "+"+s.Name)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines), err
}

// lines splits the driver's answer, and sorts it.
func lines(s string) []string {
	all := strings.SplitAfter(s, "\x00")
	all = all[:len(all)-1] // what is behind the last NUL
	for i, line := range all {
		all[i] = strings.TrimSuffix(line, "\x00")
	}
	slices.Sort(all)
	return all
}

// TestLibraries reads the libraries that Go's tools and this machine's programs use.
func TestLibraries(t *testing.T) {
	dirs := []string{"/lib/*-linux-gnu/lib*.so*", "/usr/lib/*-linux-gnu/lib*.so*", "/usr/lib64/lib*.so*"}
	seen := map[string]bool{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(dir)
		if err != nil {
			t.Fatalf("filepath.Glob: %v", err)
		}
		for _, path := range paths {
			real, err := filepath.EvalSymlinks(path)
			if err != nil || seen[real] {
				continue
			}
			seen[real] = true
			lib, err := os.ReadFile(real)
			if err != nil || !bytes.HasPrefix(lib, []byte(elf.ELFMAG)) {
				continue // a script of the linker
			}
			want, err := symbols(lib)
			if err != nil {
				continue
			}
			if got, good := run(t, 'e', []byte(real)); !good || !slices.Equal(want, lines(got)) {
				t.Errorf("%s: the bridge finds %.200q, and debug/elf %.200q", real, got, want)
			}
		}
	}
	if len(seen) < 3 {
		t.Errorf("only these libraries were found: %v", seen)
	}
	if got, good := read(t, library(t)); !good || !slices.Equal([]string{"+data", "+ours", "-theirs"}, lines(got)) {
		t.Errorf("of the small library it finds %q", got)
	}
}

const (
	noLibrary = "it is not a shared library (go build -buildmode=c-shared makes one)"
	processor = "it is built for another processor"
	damaged   = "its symbol table is damaged or missing"
)

// sections are the places in a library that its symbols are found by.
type sections struct {
	symbols, strings int // where their headers are in the file
	entries          int // where the symbols are
}

func find(t testing.TB, lib []byte) (s sections) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(lib))
	if err != nil {
		t.Fatalf("elf.NewFile: %v", err)
	}
	table := int(binary.LittleEndian.Uint64(lib[40:]))
	for i, section := range f.Sections {
		if section.Type == elf.SHT_DYNSYM {
			s = sections{table + 64*i, table + 64*int(section.Link), int(section.Offset)}
		}
	}
	return s
}

func TestDamagedLibraries(t *testing.T) {
	lib := library(t)
	at := find(t, lib)
	put := func(offset int, p ...byte) []byte {
		out := slices.Clone(lib)
		copy(out[offset:], p)
		return out
	}
	number := func(offset int, n uint64) []byte { return put(offset, binary.LittleEndian.AppendUint64(nil, n)...) }
	const offset, size = 24, 32 // in a section's header
	for name, c := range map[string]struct {
		lib  []byte
		says string
	}{
		"empty":                            {nil, "Exec format error"},
		"text":                             {[]byte("#!/bin/sh\n"), noLibrary},
		"its name only":                    {lib[:4], noLibrary},
		"half a header":                    {lib[:63], noLibrary},
		"another name":                     {put(1, 'F'), noLibrary},
		"a program":                        {put(16, 2), noLibrary},
		"an object":                        {put(16, 1), noLibrary},
		"32 bits":                          {put(4, 1), processor},
		"no number of bits":                {put(4, 0), processor},
		"the most significant byte first":  {put(5, 2), processor},
		"such a library as it is":          {put(5, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 22), processor},
		"another processor":                {put(18, 8, 0), processor},
		"a header only":                    {lib[:64], damaged},
		"without its last byte":            {lib[:find(t, lib).strings+39], damaged},
		"half":                             {lib[:len(lib)/2], damaged},
		"no sections":                      {put(60, 0, 0), damaged},
		"sections behind the file":         {number(40, uint64(len(lib))), damaged},
		"sections far behind the file":     {number(40, 1<<63), damaged},
		"sections that wrap around":        {number(40, 1<<64-64), damaged},
		"sections of no size":              {put(58, 0, 0), damaged},
		"strings in no section":            {put(at.symbols+40, 0xff, 0xff, 0xff, 0xff), damaged},
		"symbols behind the file":          {number(at.symbols+offset, uint64(len(lib))), damaged},
		"symbols that wrap around":         {number(at.symbols+offset, 1<<64-24), damaged},
		"more symbols than fit":            {number(at.symbols+size, 1<<40), damaged},
		"as many as there can be":          {number(at.symbols+size, 1<<64-1), damaged},
		"strings behind the file":          {number(at.strings+offset, uint64(len(lib))), damaged},
		"strings that wrap around":         {number(at.strings+offset, 1<<64-8), damaged},
		"more strings than fit":            {number(at.strings+size, 1<<63), damaged},
		"no strings":                       {number(at.strings+size, 0), damaged},
		"a name that does not end":         {number(at.strings+size, 3), damaged},
		"a name outside of the strings":    {put(at.entries+24, 0xff, 0xff, 0xff, 0x7f), damaged},
		"a name just behind the strings":   {put(at.entries+24, 0, 0, 1, 0), damaged},
		"a symbol table of another number": {put(at.symbols+4, 2), damaged},
	} {
		t.Run(name, func(t *testing.T) {
			if got, good := read(t, c.lib); good || got != c.says {
				t.Errorf("%s: got %.200q, want %q", name, got, c.says)
			}
		})
	}
	for path, says := range map[string]string{
		filepath.Join(t.TempDir(), "x"): "No such file or directory", t.TempDir(): "Is a directory",
		"/dev/null": "Exec format error",
	} {
		t.Run(says, func(t *testing.T) {
			if got, good := run(t, 'e', []byte(path)); good || got != says {
				t.Errorf("%s: got %q, want %q", path, got, says)
			}
		})
	}
}

// FuzzLibrary damages a library in two places and truncates it. Where both the bridge and debug/elf, which is stricter, can
// read the result, they must find the same symbols.
func FuzzLibrary(f *testing.F) {
	lib := library(f)
	at := find(f, lib)
	const ones = "\xff\xff\xff\xff\xff\xff\xff\xff"
	f.Add(uint32(0), []byte(nil), uint32(0), []byte(nil), uint32(0))
	for _, place := range []int{
		4, 16, 18, 40, 48, 58, 60, 62, at.symbols, at.symbols + 24, at.symbols + 32, at.symbols + 40,
		at.symbols + 56, at.strings, at.strings + 24, at.strings + 32, at.entries, at.entries + 24, at.entries + 30,
	} {
		for _, p := range []string{"\x00", "\x01\x02", ones, "\xf0" + ones[1:], "\x00\x00\x01"} {
			f.Add(uint32(place), []byte(p), uint32(at.strings+24), []byte{}, uint32(len(lib)/2))
			f.Add(uint32(place), []byte(p), uint32(at.symbols+8), []byte{0}, uint32(0))
		}
	}
	path := filepath.Join(f.TempDir(), "lib.so")
	f.Fuzz(func(t *testing.T, place uint32, p []byte, place2 uint32, p2 []byte, cut uint32) {
		damaged := slices.Clone(lib)
		copy(damaged[int(place)%len(damaged):], p)
		copy(damaged[int(place2)%len(damaged):], p2)
		damaged = damaged[:len(damaged)-int(cut)%len(damaged)]
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		got, good := run(t, 'e', []byte(path))
		if !good {
			if got != noLibrary && got != processor && got != "its symbol table is damaged or missing" {
				t.Fatalf("it says %q", got)
			}
			return
		}
		want, err := symbols(damaged)
		if err == nil && !slices.Equal(want, lines(got)) {
			t.Fatalf("the bridge finds %q, and debug/elf %q", got, want)
		}
	})
}
