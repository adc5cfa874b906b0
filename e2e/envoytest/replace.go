package envoytest

import "os"

// Replace replaces a file in one step, by a rename: that is what Envoy watches for, and nobody reads half a file.
func Replace(path string, p []byte) error {
	if err := os.WriteFile(path+".new", p, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
