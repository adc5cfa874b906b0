//go:build unix

package filewatch

import (
	"io/fs"
	"syscall"
)

// inode tells apart files of one name and time.
func inode(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
