//go:build !unix

package accesslog

import "os"

// unclosed is a file that others use.
type unclosed struct{ *os.File }

// Close does nothing.
func (unclosed) Close() error { return nil }

// Refresh does nothing.
func (unclosed) Refresh() error { return nil }

func duplicate(f *os.File) (destination, error) { return unclosed{f}, nil }
