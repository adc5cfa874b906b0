//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package tempdir

import "os"

// lock does nothing where files cannot be locked. Folders are swept there only by what sweeps the system's others.
func lock(*os.File) error { return nil }
