package chain

// SetMaxUnflushed lets tests fill pipes with few bytes.
func SetMaxUnflushed(n int) (restore func()) {
	old := maxUnflushed
	maxUnflushed = n
	return func() { maxUnflushed = old }
}
