package tempdir

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMain makes a folder, in a process for it, and waits to be killed.
func TestMain(m *testing.M) {
	if prefix := os.Getenv("TEMPDIR_TEST"); prefix != "" {
		d, err := New(prefix)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(d.Path)
		select {}
	}
	os.Exit(m.Run())
}

func TestDir(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d, err := New("moe-test-")
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	info, err := os.Stat(d.Path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("os.Stat: got %v and error %v, want a folder for this user alone", info, err)
	}
	if err := d.Remove(); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if _, err := os.Stat(d.Path); !os.IsNotExist(err) {
		t.Errorf("after Remove: got error %v, want that the folder does not exist", err)
	}
}

// TestSweep kills a process that has a folder: the next folder's maker removes it, and only then.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "TEMPDIR_TEST=moe-test-")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatalf("start the other process: %v", err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the other process has made no folder: %v", lines.Err())
	}
	other := lines.Text()
	unlocked := filepath.Join(os.TempDir(), "moe-test-without-lock")
	if err := os.Mkdir(unlocked, 0o700); err != nil {
		t.Fatalf("os.Mkdir: %v", err)
	}
	exists := func(dir string) bool { _, err := os.Stat(dir); return err == nil }
	make := func() string {
		d, err := New("moe-test-")
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		t.Cleanup(func() { d.Remove() })
		return d.Path
	}
	first := make()
	if !exists(other) {
		t.Error("New removed the folder of a process that runs")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatalf("Kill: %v", err)
	}
	c.Wait()
	if !exists(other) {
		t.Fatal("the killed process has removed its folder itself: there is nothing to sweep")
	}
	second := make()
	if exists(other) {
		t.Error("New left the folder of a process that was killed")
	}
	for name, dir := range map[string]string{"the first": first, "the second": second, "one without a lock": unlocked} {
		t.Run(name, func(t *testing.T) {
			if !exists(dir) {
				t.Errorf("New removed %s, which is in use or has no lock", dir)
			}
		})
	}
}
