package extension

import (
	"fmt"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "7": 7, "7B": 7, "64KiB": 64 << 10, "10MiB": 10 << 20,
		"1 GiB": 1 << 30, "2TiB": 2 << 40, "1kB": 1000, "1KB": 1000, "1MB": 1e6, "3GB": 3e9, "1TB": 1e12,
	} {
		t.Run(text, func(t *testing.T) {
			if got, err := ParseSize(text); err != nil || got != want {
				t.Errorf("ParseSize(%q) = %d and error %v, want %d", text, got, err, want)
			}
		})
	}
	for _, text := range []string{
		"", "KiB", "-1", "1.5MiB", "1 MiB ", " 1", "1mb", "1 Mb", "99999999999TiB",
		"9223372036854775808", "1e3",
	} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			if got, err := ParseSize(text); err == nil {
				t.Errorf("ParseSize(%q) = %d, want an error", text, got)
			}
		})
	}
	for b, want := range map[Size]string{
		0: "0B", 1023: "1023B", 1024: "1KiB", 10 << 20: "10MiB", 1 << 40: "1TiB",
		1e6: "1000000B",
	} {
		t.Run(fmt.Sprint(b), func(t *testing.T) {
			if got := b.String(); got != want {
				t.Errorf("%d prints as %s, want %s", int64(b), got, want)
			}
			if p, err := ParseSize(b.String()); err != nil || p != b {
				t.Errorf("ParseSize(%q) = %d and error %v, want %d", b, p, err, int64(b))
			}
		})
	}
}
