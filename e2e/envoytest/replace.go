package envoytest

import "os"

// Replace replaces a file at once, by a rename, as Envoy's watches and readers of half a file want it.
func Replace(path string, p []byte) error {
	if err := os.WriteFile(path+".new", p, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
